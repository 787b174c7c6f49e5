"""A run of MLflow for a report: its parameters, its figures, and where the models stand."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from beauty_rec.settings import Settings

MODELS = ("text_retriever", "item_tower", "user_tower", "reranker")
NO_PARAMETERS = {"data_dir", "serve", "alerts", "traces", "mlflow", "storage", "execution",
                 "schedule", "gpu", "docs_url"}  # fmt: skip
"""Settings that say where and when, and change no figure."""
LONGEST = 500
"""Characters of a parameter that every store of MLflow takes."""


def log_report(
    settings: Settings, report: Mapping[str, Any], folder: Path, dagster_run: str
) -> str:
    """Log a finished report as one run; return its id.

    Args:
        settings: of the run; ``mlflow.tracking_uri`` is set.
        report: the document.
        folder: of the report, whose files become artifacts.
        dagster_run: id of the run that made it.

    Raises:
        ImportError: the package of the extra ``mlflow`` is not there.
        Exception: whatever MLflow raises where its server or store is away.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client: Any = MlflowClient(tracking_uri=settings.mlflow.tracking_uri)
    found = client.get_experiment_by_name(settings.mlflow.experiment)
    experiment = (
        client.create_experiment(settings.mlflow.experiment)
        if found is None
        else found.experiment_id
    )
    run: str = client.create_run(experiment, run_name=dagster_run[:8]).info.run_id
    try:
        now = client.get_run(run).info.start_time
        root = settings.storage.url or settings.data_dir
        tags = {"dagster.run_id": dagster_run} | {
            f"model.{name}": f"{root}/models/{name}" for name in MODELS
        }
        figures = list(figures_of(report))
        for start in range(0, max(len(figures), 1), 500):  # at most 1,000 in one call
            client.log_batch(
                run,
                metrics=[Metric(n, v, now, 0) for n, v in figures[start : start + 500]],
            )
        parameters = list(parameters_of(settings))
        for start in range(0, len(parameters), 100):  # at most 100 in one call
            client.log_batch(run, params=[Param(n, v) for n, v in parameters[start : start + 100]])
        client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])
        for path in sorted(folder.glob("report.*")):
            client.log_artifact(run, str(path))
    except BaseException:
        client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run, "FINISHED")
    return run


def parameters_of(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield every setting that a figure may depend on, without secrets: ``group.name``, value."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name in NO_PARAMETERS:
            continue
        if isinstance(value, BaseModel):
            for inner in type(value).model_fields:
                found = getattr(value, inner)
                if not isinstance(found, SecretStr):
                    yield f"{name}.{inner}", str(found)[:LONGEST]
        else:
            yield name, str(value)[:LONGEST]


def figures_of(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of the report's metric blocks: ``answer/test/with_text/served/mrr``."""
    for name, value in report.items():
        place = f"{prefix}/{name}".removeprefix("/").replace("@", "_at_")
        if name in ("intervals", "dataset", "cost", "significance"):
            continue
        if isinstance(value, Mapping):
            yield from figures_of(value, place)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield place, float(value)
