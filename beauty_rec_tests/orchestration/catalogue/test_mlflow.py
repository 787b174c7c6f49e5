"""A report becomes a run of MLflow, on a store in a database and on one in files."""

import json
from pathlib import Path

import pytest

from beauty_rec.orchestration.catalogue.mlflow_log import figures_of, log_report, parameters_of
from beauty_rec.settings import Settings

SERVED = {"mrr": 0.25, "recall@10": 0.5, "queries": 80, "intervals": {"mrr": [0.2, 0.3]}}
REPORT = {
    "dataset": {"reviews": 5},
    "answer": {"test": {"with_text": {"served": SERVED}}},
    "cost": [{"asset": "reranker", "seconds": 1}],
}
FIGURES = {
    "answer/test/with_text/served/mrr": 0.25,
    "answer/test/with_text/served/recall_at_10": 0.5,
    "answer/test/with_text/served/queries": 80,
}


def test_figures_are_those_of_the_metric_blocks() -> None:
    assert dict(figures_of(REPORT)) == FIGURES


def test_parameters_hold_what_figures_depend_on_and_no_secret(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        fine_tune={"epochs": 3},
        llm={"api_key": "planted-key"},
        item_index={"dsn": "postgresql://u:planted-word@h/d"},
    )
    found = dict(parameters_of(settings))
    assert found["fine_tune.epochs"] == "3"
    assert not [name for name in found if name.startswith(("serve", "alerts", "schedule"))]
    assert "planted" not in str(found)


@pytest.mark.mlflow
@pytest.mark.parametrize("store", ["sqlite:///{}/mlflow.db", "file://{}/mlruns"])
def test_a_report_is_a_run_with_parameters_figures_and_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(REPORT))
    uri = store.format(tmp_path)
    settings = Settings(data_dir=tmp_path, mlflow={"tracking_uri": uri, "experiment": "a shop"})
    client = MlflowClient(tracking_uri=uri)
    client.create_experiment("a shop", artifact_location=(tmp_path / "artifacts").as_uri())
    ids = [log_report(settings, REPORT, folder, f"run-{i}") for i in range(2)]
    runs = client.search_runs([client.get_experiment_by_name("a shop").experiment_id])
    assert {run.info.run_id for run in runs} == set(ids)
    run = client.get_run(ids[0])
    assert run.info.status == "FINISHED"
    assert run.data.metrics == FIGURES
    assert run.data.params["encoder.model"] == settings.encoder.model
    assert run.data.tags["dagster.run_id"] == "run-0"
    assert run.data.tags["model.reranker"] == str(tmp_path / "models" / "reranker")
    assert [file.path for file in client.list_artifacts(ids[0])] == ["report.json"]
