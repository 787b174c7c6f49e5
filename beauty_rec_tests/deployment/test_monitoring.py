"""The dashboard and the alert rules ask for metrics that the app exports, by labels they have."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import data, encoder, engine, settings
from beauty_rec_tests.serving.http.doors import client_of

__all__ = ["data", "encoder", "engine", "settings"]

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "beauty_rec.json"
RULES = DEPLOY / "prometheus" / "beauty_rec.rules.yaml"
OF_PROMETHEUS = {"instance", "job"}
SAMPLE = re.compile(r"\b((?:beauty_rec|process)_\w+)(?:\{([^}]*)\})?")


def expressions() -> dict[str, str]:
    found = {}
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found[variable["name"]] = variable["query"]["query"]
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        found |= {rule["alert"]: rule["expr"] for rule in group["rules"]}
    return found


@pytest.fixture(scope="module")
def exported(engine: Engine) -> dict[str, set[str]]:
    """The labels of every sample of /metrics, by its name."""
    with client_of(engine) as client:
        client.post("/v1/recommend", json={"k": 3})
        text = client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("name", expressions())
def test_an_expression_names_what_is_exported(name: str, exported: dict[str, set[str]]) -> None:
    expression = expressions()[name]
    asked = SAMPLE.findall(expression)
    assert asked, expression
    labels: set[str] = set()
    for metric, matchers in asked:
        assert metric in exported, f"{name}: {metric}"
        labels |= exported[metric]
        named = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert named <= exported[metric] | OF_PROMETHEUS, f"{name}: {matchers}"
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", grouped)) <= labels | OF_PROMETHEUS, f"{name}: {grouped}"


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
