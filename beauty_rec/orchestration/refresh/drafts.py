"""Drafts of killed runs: half-written files that no rename followed."""

import shutil
from pathlib import Path

import dagster as dg

from beauty_rec.artifacts import sweep_drafts
from beauty_rec.orchestration.refresh.dead_runs import IN_PROGRESS

NAMELESS = (".drafts/*", "cache/*/.rows-*", "serving/.draft-*", "processed/.intake-*", ".shop-*")
"""Below the data folder; these say nothing of the process that wrote them."""
WRITTEN_IN = (
    ".", "cache", "cache/*", "processed", "processed/*", "models", "models/.checkpoints",
    "models/.checkpoints/*/*", "models/.checkpoints/*/*/*", "serving", "serving/*",
    "serving/versions/*", "chromadb", ".drafts", "dagster", ".fetched/*", "raw/*",
)  # fmt: skip
"""Folders in which artifacts and caches are put by a rename."""


def sweep(data_dir: Path, instance: dg.DagsterInstance, own_run: str | None = None) -> list[Path]:
    """Remove what killed runs left half-written below ``data_dir``; return what it was.

    Call it in one's turn to refresh, when the runs of killed processes are ended. What tells no
    process is left alone while another run is in progress: any but ``own_run``, of the job that
    this is part of.
    """
    swept = []
    for pattern in WRITTEN_IN:
        for folder in [data_dir] if pattern == "." else sorted(data_dir.glob(pattern)):
            swept += sweep_drafts(folder)
    runs = instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS), limit=2)
    if all(run.run_id == own_run for run in runs):
        for pattern in NAMELESS:
            for path in sorted(data_dir.glob(pattern)):
                swept.append(path)
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
    return swept
