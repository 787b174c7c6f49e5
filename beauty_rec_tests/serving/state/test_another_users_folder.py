"""What reads a data folder of another user, in which a server has run: nothing is opened there."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beauty_rec.corpus.intake.given import taken_path
from beauty_rec.serving.published.manifest import publish
from beauty_rec.serving.state.database import STORE
from beauty_rec.settings import child_environment
from beauty_rec_tests.plain_user import without_overrides

LOOK = """
import sys
from pathlib import Path
from beauty_rec.cli.forget import forget_command
from beauty_rec.serving.state.experiment.commands import status
from beauty_rec.serving.state.taking import take
from beauty_rec.serving.state.transfer import export_given
from beauty_rec.settings import Settings
from beauty_rec.verified import nothing_kept

settings = Settings(data_dir=Path(sys.argv[1]))
with nothing_kept():
    print("taken", take(settings, "events"), repr(take(settings, "items")))
print("set", status(settings)["served"]["set"])
forget_command(None, settings.data_dir, None)
try:
    list(export_given(settings))
except FileNotFoundError as error:
    print(error)
"""


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Path]:
    """A folder that may be read, but for the cluster, which PostgreSQL keeps to its user."""
    folder = tmp_path / "data"
    (tmp_path / "cards").write_text("cards")
    publish(folder / "serving", {"cards": tmp_path / "cards"}, {}, {}, {})
    path = taken_path(folder, "events")
    path.parent.mkdir(parents=True)
    path.write_text("as it was taken")
    cluster = folder / STORE / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("18\n")
    closed = {cluster: 0, folder / STORE: 0o555, folder: 0o555}
    for place, mode in closed.items():
        place.chmod(mode)
    yield folder
    for place in closed:
        place.chmod(0o755)


@pytest.mark.slow
def test_what_only_reads_does_without_the_store(others: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(others)],
        capture_output=True, text=True, check=False, env=child_environment(),
        preexec_fn=without_overrides,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    taken, served, refused = done.stdout.splitlines()
    assert taken == "taken as it was taken ''"
    assert served.startswith("set ")
    assert "store is no store that can be opened" in refused
