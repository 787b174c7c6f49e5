"""`kill -9` at random moments of a small shop's run: a plain run ends as if nothing had been."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import psutil
import pytest

from beauty_rec.orchestration.refresh.dead_runs import IN_PROGRESS
from beauty_rec.orchestration.refresh.lock import is_refreshing
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.search.chroma.index import current_version
from beauty_rec.serving.published.manifest import read_manifest, set_folder
from beauty_rec.settings import child_environment
from beauty_rec_tests.command_line_shop import Shop
from beauty_rec_tests.harm import delete
from beauty_rec_tests.orchestration.daemon.live_shop import COMMAND
from beauty_rec_tests.orchestration.refresh.shop_state import artifacts, give, given_is_there

pytestmark = pytest.mark.faults
KILLS = int(os.environ.get("BEAUTY_REC_KILLS", "50"))
BACKGROUND = "processed/word_background.json"
"""A by-product that is made anew with its asset alone."""
LEFTOVERS = (
    *("**/.*.draft*", "**/.*.old", "**/.draft-*", "**/.intake-*", "**/.rows-*", "**/.shop-*"),
    ".drafts/*",
)


def processes_of(data: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or []), process.info["cwd"] or ""]
        if process.pid != os.getpid() and any(str(data) in word for word in words):
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(words))
    return found


def slots(instance: dg.DagsterInstance) -> int:
    storage = instance.event_log_storage
    keys = storage.get_concurrency_keys()
    return sum(storage.get_concurrency_info(key).active_slot_count for key in keys)


def command(shop: Shop) -> subprocess.Popen[bytes]:
    inputs = [
        x
        for kind in ("reviews", "items", "profiles")
        for x in (f"--{kind}", getattr(shop.files, kind))
    ]
    options = [*inputs, *(f"--set={setting}" for setting in shop.settings), "--data-dir", shop.data]
    log = (shop.data.parent / "run.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", *map(str, options)],
        env=child_environment(), stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip


@pytest.mark.timeout(3600)
def test_after_each_kill_a_run_ends_as_if_nothing_had_been(
    tmp_path: Path, tiny_model: Path
) -> None:
    shop = Shop(tmp_path, tiny_model)
    give(shop.data)  # first: ids of values that come in a later run are put behind the others
    steps = shop.run()
    assert set(steps.values()) == {"built"}
    undisturbed, those = artifacts(shop.data), parts(shop.data)
    dice = random.Random(7)
    kills = 0
    while kills < KILLS:
        wholly = kills % 25 == 24
        lost = lose(shop.data, those, dice, wholly)
        if not kill_within(shop, dice.randrange(len(steps) if wholly else len(lost)), dice):
            assert artifacts(shop.data) == undisturbed
            continue
        kills += 1
        statuses = [*shop.run().values()]
        print(f"kill {kills}, without {lost}: {statuses.count('built')} were left to build")
        assert "failed" not in statuses
        assert artifacts(shop.data) == undisturbed
        assert_nothing_is_left(shop.data)
        assert given_is_there(shop.data)
    assert set(shop.run().values()) == {"fresh"}


def parts(data: Path) -> list[Path]:
    """Return what can be lost and built again: every artifact, split, index and published set."""
    kinds = ("processed/*", "processed/*/*", "models/*", "chromadb/*", "serving/*")
    globs = (*kinds, "serving/versions/*", "postgres", "evaluation")
    found = {path for kind in globs for path in data.glob(kind) if path.name[0] != "."}
    served = set_folder(data / "serving", read_manifest(data / "serving"))
    index = current_version(data / "chromadb")
    assert index is not None
    kept = (served, data / "chromadb" / index.version)
    versions = (*data.glob("serving/versions/*"), *data.glob("chromadb/*/"))
    before = {path for path in versions if path not in kept}  # lost for good
    before.add(data / "serving" / "manifests")  # what one goes back to
    return sorted(found - {path.parent for path in found} - {data / BACKGROUND} - before)


def lose(data: Path, those: list[Path], dice: random.Random, wholly: bool) -> list[str]:
    """Delete two parts, or all of them and the records; return their names."""
    chosen = [*those, data / "dagster", data / "cache"] if wholly else dice.sample(those, 2)
    for path in chosen:
        delete(path)
    return ["everything"] if wholly else [str(path.relative_to(data)) for path in chosen]


def kill_within(shop: Shop, after: int, dice: random.Random) -> bool:
    """Start a run and kill it soon after so many steps were built; False where it ended before."""
    log = shop.data.parent / "run.log"
    log.unlink(missing_ok=True)
    process = command(shop)
    while process.poll() is None and log.read_text().count("built ") < after:
        time.sleep(0.02)
    try:
        # The first moments also hold the start of the program.
        process.wait(dice.uniform(0.0, 1.5 if after else 12.0))
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0, log.read_text()[-3000:]
    return False


def assert_nothing_is_left(data: Path) -> None:
    assert not {path for pattern in LEFTOVERS for path in data.glob(pattern)}
    assert not is_refreshing(data)
    assert not processes_of(data)
    with open_instance(data) as instance:
        assert not instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))
        assert slots(instance) == 0
