"""A folder for a store, and a store in it, with a real PostgreSQL."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from beauty_rec.serving.state.database import STORE, Store


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-store-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    opened = Store(folder / STORE, None)
    opened.open()
    yield opened
    opened.close()
