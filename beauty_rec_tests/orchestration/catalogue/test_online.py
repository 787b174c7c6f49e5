"""The asset of what was shown: nothing, something, and a store that is away."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.refresh.refresh import QUIET, plan, refresh
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.recommender.online.people import Past
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec.serving.state.shown.impression import Impression, new_id
from beauty_rec.serving.state.shown.tables import INSERT
from beauty_rec.settings import Settings

SOURCE, ASSET = dg.AssetKey("shop_impressions"), dg.AssetKey("online_metrics")


@pytest.fixture
def data() -> Iterator[Path]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-online-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def look_and_build(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Observe the store and refresh the asset; return its status and its metadata."""
    definitions = build_definitions(settings)
    with open_instance(settings.data_dir) as instance:
        job = definitions.resolve_implicit_global_asset_job_def()
        looked = job.execute_in_process(
            instance=instance, asset_selection=[SOURCE], run_config=QUIET
        )
        assert looked.success
        [result] = refresh(definitions, instance, plan(definitions, "online_metrics"))
        return result.status, latest_metadata(instance, ASSET)


def test_nothing_shown_is_an_empty_table_and_no_server(data: Path) -> None:
    settings = Settings(data_dir=data)
    status, found = look_and_build(settings)
    assert status == "built"
    assert found["dagster/row_count"] == 0
    assert "serve.impressions" in found["note"]
    assert not (data / STORE).exists()
    assert found["seconds"] < 1
    assert look_and_build(settings)[0] == "fresh"


@pytest.mark.slow
def test_what_was_shown_is_measured_and_drawn_and_waits_for_a_store_that_is_away(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=data, evaluation={"bootstrap_samples": 100})
    now = int(time.time() * 1000)
    name = new_id(now)
    store = Store(data / STORE, None)
    store.open()
    shown = Impression(
        name, now, "U", "recommend", "a set", "default", "fused", ["N1", "N2"], ["a", "b"]
    )
    store.change((INSERT, [(*shown, 4)]))
    store.put_events([GivenEvent("U", Past("N2", 5.0, now, "click"), name)])
    status, found = look_and_build(settings)  # beside a server that has the store open
    assert status == "built"
    assert found["recommend ctr"] == 0.5
    assert found["recommend coverage"] == 0.5
    assert found["recommend: rates by day"].startswith("![")
    assert found["recommend: positions"].startswith("![")
    kept = pl.read_parquet(data / "processed" / "online_metrics.parquet")
    assert "U" not in str(kept.rows())
    assert look_and_build(settings)[0] == "fresh"
    store.put_events([GivenEvent("U", Past("N1", 5.0, now, "purchase"), name)])
    store.close()
    version = data / STORE / "cluster" / "PG_VERSION"
    version.rename(data / "PG_VERSION")
    version.write_text("0\n")  # a cluster that cannot be started
    assert look_and_build(settings)[0] == "fresh"
    (data / "PG_VERSION").replace(version)
    status, found = look_and_build(settings)
    assert status == "built"
    assert found["recommend ctr"] == 1
