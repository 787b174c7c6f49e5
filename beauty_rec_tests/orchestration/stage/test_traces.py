"""An asset that is built has a span with its name and split."""

from pathlib import Path

import dagster as dg
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from beauty_rec import tracing
from beauty_rec.orchestration.stage.partitions import splits
from beauty_rec.orchestration.stage.stage import stage


@stage(group="raw", io="io_manager", partitions_def=splits)
def words(context: dg.AssetExecutionContext) -> int:
    """One word."""
    return 1


def test_an_asset_that_is_built_has_a_span(tmp_path: Path) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            run = dg.materialize([words], partition_key="valid", instance=instance)
    finally:
        tracing.use(None)
    (span,) = exporter.get_finished_spans()
    assert span.name == "asset"
    assert dict(span.attributes or {}) == {
        "asset": "words", "split": "valid", "run_id": run.run_id,
    }  # fmt: skip
