"""An artifact is what its asset wrote, or it is refused by name and built anew."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors, content_hash
from beauty_rec.orchestration.refresh.refresh import plan, preview, refresh
from beauty_rec.orchestration.stage.partitions import only, splits
from beauty_rec.orchestration.stage.stage import for_settings, stage
from beauty_rec.orchestration.storage.io_managers import io_managers
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings
from beauty_rec_tests.harm import HARMS, flip_bit

NOISE: list[float] = []


@stage(group="raw", io="frames", partitions_def=splits)
def rows(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> pl.DataFrame:
    """A table a split."""
    return pl.DataFrame({"split": [context.partition_key] * 50})


@stage(group="raw", io="folders", ins={"rows": dg.AssetIn(partition_mapping=only("train"))})
def points(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], rows: pl.DataFrame
) -> Vectors:
    """Vectors."""
    matrix = np.eye(rows.height, dtype=np.float32)
    matrix[: len(NOISE), 0] = NOISE
    return Vectors(rows.with_row_index()["index"].cast(pl.String).to_list(), matrix)


@stage(group="raw", io="documents")
def summary(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], points: Vectors
) -> dict[str, Any]:
    """A document."""
    return {"points": len(points.ids)}


class Small:
    """A small graph on a data folder."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        settings = Settings(data_dir=folder)
        store = ArtifactStore(url=str(folder), scratch=str(folder))
        self.definitions = dg.Definitions(
            assets=for_settings([rows, points, summary], settings),
            resources={"settings": settings, "store": store, **io_managers(store)},
        )

    def run(self, select: str | None = None, *, force: bool = False) -> dict[str, tuple[str, str]]:
        steps = plan(self.definitions, select)
        results = refresh(self.definitions, self.instance, steps, force=force)
        return {str(r.step): (r.status, r.reason) for r in results if r.status != "fresh"}

    def due(self) -> dict[str, str]:
        seen = preview(self.definitions, self.instance, plan(self.definitions))
        return {str(step): reason for step, verdict, reason in seen if verdict == "build"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with dg.instance_for_test() as instance:
        small = Small(tmp_path_factory.mktemp("small"), instance)
        assert len(small.run()) == 5
        yield small


PLACES = {
    "rows[train]": "rows/train.parquet",
    "points": "points/vectors.npy",
    "summary": "summary.json",
}
SHORT = dict(zip(PLACES, HARMS, strict=True))


def each(asset: str, harm: str) -> Any:
    """A case; in the short form each asset is harmed in one way only."""
    marks = [] if SHORT[asset] == harm else [pytest.mark.faults]
    return pytest.param(asset, harm, marks=marks)


@pytest.mark.parametrize(
    ("asset", "harm"), [each(asset, harm) for asset in PLACES for harm in HARMS]
)
def test_what_is_harmed_is_stale_by_name_and_built_anew(
    small: Small, asset: str, harm: str
) -> None:
    path = small.folder / "processed" / PLACES[asset]
    before = content_hash(path)
    HARMS[harm](path)
    verdict = "is missing" if harm == "deleted" else "is damaged"
    assert small.due() == {asset: f"{path} {verdict}"}
    assert list(small.run()) == [asset]
    assert content_hash(path) == before
    assert small.run() == {}


def test_what_is_harmed_is_not_read(small: Small) -> None:
    path = small.folder / "processed" / "points" / "ids.parquet"
    flip_bit(path)
    ((status, reason),) = small.run("summary", force=True).values()
    assert status == "failed"
    assert str(path) in reason
    assert "beauty-rec run" in reason
    small.run()
    assert small.run() == {}


def test_what_is_not_finite_becomes_no_artifact(small: Small) -> None:
    path = small.folder / "processed" / "points"
    before = content_hash(path)
    NOISE.append(float("nan"))
    try:
        ((status, reason),) = small.run("points", force=True).values()
    finally:
        NOISE.clear()
    assert status == "failed"
    assert "vectors.npy holds NaN or infinity" in reason
    assert content_hash(path) == before


def test_a_look_at_untouched_files_reads_none(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.run()
    small.due()

    def refuse(path: Path) -> dict[str, str]:
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr("beauty_rec.verified.file_hashes", refuse)
    assert small.due() == {}
