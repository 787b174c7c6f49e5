"""One embedded PostgreSQL for all tests of this folder."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from beauty_rec.search.pgvector import server
from beauty_rec.search.pgvector.server import postgres
from beauty_rec_tests.quick import INITIALISE


@pytest.fixture(scope="session")
def postgres_folder(quick: None) -> Iterator[Path]:
    """Folder of an initialised, stopped server. Its name holds a blank, as data folders may."""
    # Made as outside of tests, for this room is about it.
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    folder = Path(tempfile.mkdtemp(prefix="beauty rec "))
    try:
        draft = folder / "cluster.draft"  # as a killed initdb leaves it
        draft.mkdir()
        (draft / "PG_VERSION").write_text("18\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(server, "_initialise", INITIALISE)
            with postgres(folder):
                assert not draft.exists()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def dsn(postgres_folder: Path) -> Iterator[str]:
    """Connection string of the running server."""
    with postgres(postgres_folder) as address:
        yield address
