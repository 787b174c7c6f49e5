"""`kill -9` at random moments of a small shop's run: the next run ends as if nothing had been."""

import json
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

from beauty_rec.artifacts import content_hash
from beauty_rec.orchestration.refresh.dead_runs import IN_PROGRESS
from beauty_rec.orchestration.refresh.lock import is_refreshing
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.settings import child_environment
from beauty_rec_tests.command_line_shop import Shop
from beauty_rec_tests.harm import delete
from beauty_rec_tests.orchestration.daemon.live_shop import COMMAND

pytestmark = pytest.mark.faults
KILLS = int(os.environ.get("BEAUTY_REC_KILLS", "50"))
LEFTOVERS = ("**/.*.draft*", "**/.*.old", "**/.draft-*", "**/.intake-*", ".drafts/*")


def artifacts(data: Path) -> dict[str, str]:
    """The content of all that is built; of the report without what each step cost."""
    found = {
        str(path.relative_to(data)): content_hash(path)
        for folder in ("processed", "models")
        for path in (data / folder).iterdir()
        if not path.name.startswith(".")
    }
    report = json.loads((data / "evaluation" / "report.json").read_text())
    del report["cost"]
    return {**found, "report": json.dumps(report, sort_keys=True)}


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


@pytest.fixture
def shops(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> list[Shop]:
    return [Shop(tmp_path_factory.mktemp(name), tiny_model) for name in ("undisturbed", "killed")]


@pytest.mark.timeout(3600)
def test_after_kills_a_run_ends_as_if_nothing_had_been(shops: list[Shop]) -> None:
    undisturbed, killed = shops
    began = time.monotonic()
    assert set(undisturbed.run().values()) == {"built"}
    whole = time.monotonic() - began
    wanted = artifacts(undisturbed.data)
    dice = random.Random(7)
    kills = 0
    while kills < KILLS:
        process = command(killed)
        try:
            process.wait(dice.uniform(2.0, max(6.0, whole / 4)))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            print(f"kill {kills}")
        else:
            assert process.returncode == 0, (killed.data.parent / "run.log").read_text()[-3000:]
            assert artifacts(killed.data) == wanted
            delete(killed.data)
    assert "failed" not in killed.run().values()
    assert artifacts(killed.data) == wanted
    assert set(killed.run().values()) == {"fresh"}
    left = {path for pattern in LEFTOVERS for path in killed.data.glob(pattern)}
    assert not left
    assert not is_refreshing(killed.data)
    assert not processes_of(killed.data)
    with open_instance(killed.data) as instance:
        assert not instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))
        assert slots(instance) == 0
