"""A request has a trace of its turn and stages; nothing is imported without the setting."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import beauty_rec
from beauty_rec import tracing
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import TraceSettings
from beauty_rec_tests.serving.http.doors import client_of

STAGES = ["queue", "encode", "candidates", "order", "answer"]


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    try:
        yield exporter
    finally:
        tracing.use(None)


def test_a_request_has_a_span_for_every_stage_in_order(
    engine: Engine, spans: InMemorySpanExporter
) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with client_of(engine) as client:
        spans.clear()  # of the warm-up
        answer = client.post(
            "/v1/recommend", json={"context": "a rose soap"}, headers={"traceparent": parent}
        )
        assert answer.status_code == 200
    found: dict[str, Any] = {span.name: span for span in spans.get_finished_spans()}
    request = found.pop("request")
    assert request.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/recommend",
        "http.response.status_code": 200,
        "beauty_rec.request_id": answer.headers["x-request-id"],
    }
    assert set(found) == set(STAGES)
    ordered = [request.start_time]
    for name in STAGES:
        assert found[name].parent.span_id == request.context.span_id
        ordered += [found[name].start_time, found[name].end_time]
    ordered.append(request.end_time)
    assert ordered == sorted(ordered)


def test_no_text_and_no_user_stands_in_a_trace(engine: Engine, spans: InMemorySpanExporter) -> None:
    with client_of(engine) as client:
        client.post("/v1/recommend", json={"context": "planted words", "user_id": "Planted"})
        client.get("/v1/search", params={"q": "planted words"})
    said = " ".join(span.to_json() for span in spans.get_finished_spans())
    assert "lanted" not in said


def test_a_file_gets_a_line_a_span(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    tracing.start(TraceSettings(file=file), "tests")
    try:
        with tracing.span("asset", asset="raw_items", split=None), tracing.span("inside"):
            pass
    finally:
        tracing.use(None)
    inner, outer = map(json.loads, file.read_text().splitlines())
    assert inner["parent_id"] == outer["context"]["span_id"]
    assert outer["attributes"] == {"asset": "raw_items"}


def test_nothing_is_imported_without_the_setting() -> None:
    """Other libraries may load OpenTelemetry for themselves; no module of this package does."""
    for path in sorted(Path(beauty_rec.__file__).parent.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not {n.split(".")[0] for n in names} & {"opentelemetry", "mlflow"}, path
    code = (
        "import sys\nfrom beauty_rec import tracing\n"
        "with tracing.span('x') as made, tracing.stage('y'): assert made is None\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('opentelemetry', 'mlflow')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
