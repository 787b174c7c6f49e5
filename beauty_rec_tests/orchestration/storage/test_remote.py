"""Assets on a store that lies on no disk: every layout goes there and comes back."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner
from upath import UPath

from beauty_rec.artifacts import Vectors
from beauty_rec.cli import app
from beauty_rec.evaluation.report.document import PARTS
from beauty_rec.orchestration.stage.partitions import splits
from beauty_rec.orchestration.stage.stage import for_settings, stage
from beauty_rec.orchestration.storage.io_managers import io_managers
from beauty_rec.orchestration.storage.remote import upload
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings


@stage(group="raw", io="frames", partitions_def=splits)
def table(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> pl.DataFrame:
    """A frame a split."""
    return pl.DataFrame({"split": [context.partition_key] * 3})


@stage(group="raw", io="models")
def model(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    table: dict[str, pl.DataFrame],
) -> Path:
    """A folder that the asset writes itself; it hands a counter on to its next run."""
    draft = store.draft("model")
    draft.mkdir(parents=True)
    (draft / "weights").write_text("".join(sorted(table)))
    with store.shared("processed/runs.txt") as path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + "x")
    return draft


@stage(group="raw", io="folders")
def vectors(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], model: Path
) -> Vectors:
    """Vectors."""
    assert (model / "weights").read_text() == "testtrainvalid"
    return Vectors(["a", "b"], np.eye(2, dtype=np.float32))


@stage(group="raw", io="documents")
def document(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], vectors: Vectors
) -> dict[str, Any]:
    """A document."""
    return {"rows": len(vectors.ids)}


def built_on(worker: Path, url: str) -> dg.Definitions:
    settings = Settings(data_dir=worker)
    store = ArtifactStore(url=url, scratch=str(worker))
    return dg.Definitions(
        assets=for_settings([table, model, vectors, document], settings),
        resources={"settings": settings, "store": store, **io_managers(store)},
    )


def test_workers_meet_only_in_the_store(tmp_path: Path) -> None:
    url = f"memory:///{tmp_path.name}"
    with dg.instance_for_test() as instance:

        def build(worker: str, key: str, partition: str | None = None) -> None:
            job = built_on(tmp_path / worker, url).resolve_implicit_global_asset_job_def()
            run = job.execute_in_process(
                instance=instance, asset_selection=[dg.AssetKey(key)], partition_key=partition
            )
            assert run.success

        for number, split in enumerate(("train", "valid", "test")):
            build(f"worker{number}", "table", split)
        build("worker3", "model")
        build("worker4", "vectors")
        build("worker5", "document")
        build("worker6", "model")  # another worker goes on with what the first handed on
        event = instance.get_latest_materialization_event(dg.AssetKey("document"))
    assert event is not None
    root = UPath(url)
    files = {path.path.removeprefix(root.path) for path in root.rglob("*") if path.is_file()}
    assert {name.lstrip("/") for name in files} == {
        "processed/table/train.parquet",
        "processed/table/valid.parquet",
        "processed/table/test.parquet",
        "models/model.tar",
        "processed/vectors.tar",
        "processed/document.json",
        "processed/runs.txt",
    }
    assert (root / "processed" / "runs.txt").read_text() == "xx"
    left = [p for p in (tmp_path / "worker4").rglob("*") if p.is_file()]
    # Nothing stays but fetched copies, what is known of them, and the lock of the folder.
    known = {"verified.json", "refresh.lock"}
    assert all(".fetched" in str(path) or path.name in known for path in left)


def test_the_report_is_read_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = f"memory:///{tmp_path.name}-report", tmp_path / "made"
    folder.mkdir()
    report = {name: {"of": "the store"} for name in PARTS}
    (folder / "report.json").write_text(json.dumps(report))
    upload(folder, UPath(url) / "evaluation")
    monkeypatch.setenv("BEAUTY_REC_STORAGE__URL", url)
    said = CliRunner().invoke(app, ["report", "--json", "--data-dir", str(tmp_path / "shop")])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout) == report


@pytest.mark.parametrize("place", ["memory://dropped", "{folder}/elsewhere"])
def test_a_side_product_is_dropped(tmp_path: Path, place: str) -> None:
    store = ArtifactStore(url=place.format(folder=tmp_path), scratch=str(tmp_path))
    store.drop("quarantine/rows.txt")  # need not be there
    (tmp_path / "rows.txt").write_text("kept")
    store.keep(tmp_path / "rows.txt", "quarantine/rows.txt")
    assert store.get("quarantine/rows.txt") is not None
    store.drop("quarantine/rows.txt")
    assert store.get("quarantine/rows.txt") is None
