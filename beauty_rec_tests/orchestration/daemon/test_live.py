"""`dagster dev` on a real shop: what its daemon rebuilds, and that kills are repaired.

Minutes long, so outside `make test`: ``make test-live``.
"""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from beauty_rec.artifacts import content_hash
from beauty_rec_tests.orchestration.daemon.live_shop import LiveShop

pytestmark = [pytest.mark.live, pytest.mark.timeout(2400)]

TEST_SIDE = {
    "raw_reviews", "split_reviews", "keywords[test]", "retrieval_candidates[test]",
    "retrieval_metrics[test]", "user_candidates[test]", "recommendations[test]",
    "ranking_metrics[test]", "evaluation_report", "serving_manifest",
}  # fmt: skip
ODD = "Zanzibar xylophone serum, for my grandmother at night. Not greasy!"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[LiveShop]:
    shop = LiveShop(tmp_path_factory.mktemp("live"), tiny_model)
    shop.build()
    yield shop
    shop.instance.dispose()


def test_the_daemon_rebuilds_exactly_what_an_edit_touches(shop: LiveShop) -> None:
    with shop.daemon():
        mark = shop.mark
        shop.edit_text(shop.split_of("test").row(0, named=True), ODD)
        shop.settle()
        assert shop.built_since(mark) == dict.fromkeys(TEST_SIDE, 1)

        mark = shop.mark
        shop.files.reviews.touch()
        time.sleep(40)  # four looks at the file and at the graph
        assert shop.built_since(mark) == {}

        # A killed worker: the run is started again, and no slot stays taken.
        mark = shop.mark
        shop.edit_text(shop.split_of("train").row(-1, named=True), ODD)
        killed = wait_for_start(shop, "item_tower", mark)
        os.kill(worker_of(shop, killed), signal.SIGKILL)
        shop.settle()
        built = shop.built_since(mark)
        assert {"keywords[train]", "item_tower", "user_tower", "item_index"} <= set(built)
        assert not {"keywords[test]", "keywords[valid]", "raw_items"} & set(built)
        assert set(built.values()) == {1}
        record = shop.instance.get_run_by_id(killed.run_id)
        assert record is not None
        assert record.status == dg.DagsterRunStatus.FAILURE
        assert shop.slots() == 0
    assert shop.built() == []  # the command line agrees


@pytest.mark.parametrize(
    ("asset", "setting"),
    [
        ("keywords", "keywords.max_phrases=11"),
        ("text_retriever", "fine_tune.learning_rate=0.0002"),
        ("user_tower", "user_tower.learning_rate=0.002"),
        ("text_index", "text_index.max_neighbors=33"),
        ("item_index", "item_index.m=20"),
    ],
)
def test_a_kill_in_the_middle_is_repaired_by_the_next_refresh(
    shop: LiveShop, asset: str, setting: str
) -> None:
    manifest = shop.data / "serving" / "manifest.json"
    served = json.loads(manifest.read_text())
    before = content_hash(manifest.parent / "versions" / served["set"])
    process = shop.command("run", "--set", setting)
    run = wait_for_start(shop, asset, shop.mark)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = shop.instance.get_run_by_id(run.run_id)
    assert left is not None
    assert left.status == dg.DagsterRunStatus.STARTED  # a killed process says nothing

    # Nothing that is served was disturbed.
    assert json.loads(manifest.read_text()) == served
    assert content_hash(manifest.parent / "versions" / served["set"]) == before
    assert json.loads(shop.call("recommend", "--context", "soap", "--json").stdout)

    shop.settings.append(setting)
    built = shop.built()
    assert any(re.match(rf"{asset}(\[|$)", name) for name in built)
    ended = shop.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.FAILURE
    assert shop.running() == []
    assert shop.slots() == 0
    assert shop.built() == []


def wait_for_start(shop: LiveShop, asset: str, mark: int) -> dg.DagsterRun:
    found: list[dg.DagsterRun] = []

    def begun() -> bool:
        run = shop.started(asset, mark)
        found.extend([run] if run else [])
        return bool(found)

    deadline = time.monotonic() + 300
    while not begun():
        assert time.monotonic() < deadline, f"{asset} never began"
        time.sleep(0.02)
    return found[0]


def worker_of(shop: LiveShop, run: dg.DagsterRun) -> int:
    """Return the process in which the daemon executes the run."""
    for entry in shop.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        metadata = entry.dagster_event.engine_event_data.metadata if entry.dagster_event else {}
        if "pid" in metadata and psutil.pid_exists(int(str(metadata["pid"].value))):
            return int(str(metadata["pid"].value))
    raise AssertionError(f"run {run.run_id} tells no process")
