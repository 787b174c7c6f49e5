"""A refresh that finds nothing new says so of what is served."""

import time
from pathlib import Path

import dagster as dg

from beauty_rec.orchestration.refresh.folder import Request, folder_refresh
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.recommender.online.sets.manifest import Manifest
from beauty_rec.serving.published.checked import CHECKED, up_to_date_at
from beauty_rec.serving.published.manifest import FORMAT

LONG_AGO = "2026-01-01T00:00:00+00:00"


def manifest_of(name: str) -> Manifest:
    return Manifest(
        format=FORMAT, set=name, created_at=LONG_AGO, parts={}, indexes={}, facts={}, metrics={}
    )


@dg.observable_source_asset
def file() -> dg.DataVersion:
    return dg.DataVersion("1")


@dg.asset(deps=[file])
def serving_manifest() -> None: ...


def refresh(data_dir: Path, select: str | None = None) -> str:
    definitions = dg.Definitions(assets=[file, serving_manifest])
    with (
        open_instance(data_dir) as instance,
        folder_refresh(definitions, instance, data_dir, Request(select)) as refreshed,
    ):
        (result,) = refreshed
    return result.status


def test_only_a_refresh_of_all_that_builds_no_set_notes_that_it_is_up_to_date(
    tmp_path: Path,
) -> None:
    served, root = manifest_of("abc"), tmp_path / "serving"
    root.mkdir()
    (root / "manifest.json").write_text(served.model_dump_json())
    assert refresh(tmp_path) == "built"
    assert refresh(tmp_path, "serving_manifest") == "fresh"
    assert not (root / CHECKED).exists()
    assert refresh(tmp_path) == "fresh"
    assert abs(up_to_date_at(root, served) - time.time()) < 60
    assert up_to_date_at(root, manifest_of("other")) < time.time() - 3600
