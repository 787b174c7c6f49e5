"""A small shop whose graph `dagster dev` keeps: what it built, what runs, whom to kill."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from beauty_rec.artifacts import content_hash
from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.refresh.dead_runs import IN_PROGRESS
from beauty_rec.orchestration.refresh.refresh import plan
from beauty_rec.orchestration.refresh.staleness import Look
from beauty_rec.orchestration.storage.dagster_home import dagster_home
from beauty_rec.settings import Settings, child_environment
from beauty_rec_tests.command_line_shop import Shop

PATIENCE = 1200
COMMAND = "from beauty_rec.cli import main; main()"


class LiveShop(Shop):
    """A :class:`Shop` with Dagster's records at hand."""

    def __init__(self, folder: Path, encoder: Path) -> None:
        super().__init__(folder, encoder)
        self.settings += ["schedule.on_change=true", "schedule.watch_seconds=5"]

    def build(self) -> None:
        statuses = self.run()
        assert set(statuses.values()) == {"built"}, statuses
        os.environ["DAGSTER_HOME"] = str(dagster_home(self.data))
        self.instance = dg.DagsterInstance.get()
        self.definitions = build_definitions(Settings(data_dir=self.data))

    @contextmanager
    def daemon(self) -> Iterator[int]:
        """Run `dagster dev` on the data folder, its port is yielded; end the group afterwards."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = (self.data.parent / "dagster-dev.log").open("ab")
        command = ["-m", "dagster", "dev", "-m", "beauty_rec.definitions", "-p", str(port)]
        process = subprocess.Popen(
            [sys.executable, *command],
            env=child_environment(DAGSTER_HOME=str(self.data / "dagster")),
            cwd=self.data.parent, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def stale(self) -> list[str]:
        """Return what would be built now, the files as they were last observed."""
        graph = self.definitions.resolve_asset_graph()
        look = Look(self.instance, graph)
        steps = plan(self.definitions)
        return [str(step) for step in steps if look.stale(step.key, step.partition)]

    def observed(self) -> bool:
        """Tell whether the reviews' content was seen as it is now."""
        found = self.instance.get_latest_data_version_record(
            dg.AssetKey("reviews_file"), is_source=True
        )
        if found is None or found.asset_observation is None:
            return False
        version = found.asset_observation.tags["dagster/data_version"]
        return version == content_hash(self.files.reviews)

    def running(self) -> list[dg.DagsterRun]:
        waiting = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
        return list(self.instance.get_runs(dg.RunsFilter(statuses=[*IN_PROGRESS, *waiting])))

    def settle(self) -> None:
        """Wait until the files are observed, nothing is stale and nothing runs."""
        until(lambda: self.observed() and not self.stale() and not self.running())

    @property
    def mark(self) -> int:
        """The number of the last event, to count from."""
        return self.instance.event_log_storage.get_maximum_record_id() or 0

    def built_since(self, mark: int) -> Counter[str]:
        """Return how often each asset (and split) was materialized after ``mark``."""
        built: Counter[str] = Counter()
        for key in self.instance.get_asset_keys():
            records = self.instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, after_storage_id=mark), limit=50
            ).records
            for record in records:
                split = record.partition_key
                built[key.to_user_string() + (f"[{split}]" if split else "")] += 1
        return built

    def started(self, asset: str, mark: int) -> dg.DagsterRun | None:
        """Return the run in which a step of ``asset`` has begun and not ended."""
        for run in self.instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
            if dg.AssetKey(asset) not in (run.asset_selection or ()):
                continue
            starts = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
            ends = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
            if any(
                e.dagster_event.step_key == asset for e in starts if e.dagster_event
            ) and not any(e.dagster_event.step_key == asset for e in ends if e.dagster_event):
                return run
        return None

    def slots(self) -> int:
        """Return how many slots of all pools are taken."""
        storage = self.instance.event_log_storage
        return sum(
            storage.get_concurrency_info(key).active_slot_count
            for key in storage.get_concurrency_keys()
        )

    def command(self, *arguments: object) -> subprocess.Popen:
        """Start `beauty-rec` with the remembered settings, in a process of its own."""
        options = [*map(str, arguments), "--data-dir", str(self.data)]
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *options],
            env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip


def until(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait for ``holds`` to give something true."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.5)
