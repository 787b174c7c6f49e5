"""What a killed process leaves half-written below the data folder is gone after the next sweep."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from beauty_rec.orchestration.refresh.dead_runs import process_tags
from beauty_rec.orchestration.refresh.drafts import sweep
from beauty_rec.orchestration.refresh.folder import Request, folder_refresh
from beauty_rec.orchestration.refresh.lock import PARENT_TAG
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.settings import child_environment
from beauty_rec_tests.orchestration.world import World, definitions_of

FOLDERS = (
    ".",
    "cache",
    "cache/keywords",
    "models",
    "processed",
    "processed/keywords",
    "processed/quarantine",
    "raw/sample",
    "raw/shop",
    "serving",
    "serving/experiments",
    "serving/manifests",
    "serving/versions",
    "serving/versions/0123456789abcdef",
)
"""In which something is put by a rename."""
KILLED = """
import os, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from beauty_rec.artifacts import atomic_path
from beauty_rec.row_cache import ReusedRows

data = Path(sys.argv[1])
left = [ReusedRows(data / "cache/keywords", "train", "maker")]
for folder in sys.argv[2:]:
    left.append(atomic_path(data / folder / "part.json"))
    left[-1].__enter__().touch()
for folder, prefix in ((".", ".shop-"), ("serving", ".draft-"), (".drafts", ".tuning-")):
    (data / folder).mkdir(exist_ok=True)
    left.append(TemporaryDirectory(prefix=prefix, dir=data / folder))
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with what a killed process left."""
    subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *FOLDERS],
        env=child_environment(),
        check=False,
    )
    assert len(left_in(tmp_path)) == len(FOLDERS) + 4
    return tmp_path


def left_in(data: Path) -> list[Path]:
    return [path for path in data.rglob(".*") if path.name != ".drafts"]


def test_nothing_half_written_is_left(data: Path) -> None:
    with open_instance(data) as instance:
        sweep(data, instance)
    assert left_in(data) == []
    assert list((data / ".drafts").iterdir()) == []


@pytest.mark.parametrize("by_job", [True, False])
def test_a_job_sweeps_as_if_its_own_run_were_none(data: Path, by_job: bool) -> None:
    definitions = definitions_of(World())
    with open_instance(data) as instance:
        run = instance.create_run_for_job(
            definitions.resolve_implicit_global_asset_job_def(),
            tags=process_tags(instance),
            status=dg.DagsterRunStatus.STARTED,
        )
        request = Request(tags={PARENT_TAG: run.run_id} if by_job else {})
        with folder_refresh(definitions, instance, data, request):
            pass
    assert (left_in(data) == []) is by_job  # another run may be writing there
