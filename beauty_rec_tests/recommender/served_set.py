"""A small served set, and an engine on it with a PostgreSQL of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ServeSettings, Settings
from beauty_rec_tests.recommender.synthetic_set import Size, load_encoder, publish_synthetic

KEY = "a key of the tests"
USER = "AUSER" + "0" * 20


@pytest.fixture(scope="session")
def encoder(tiny_model: Path) -> TextEncoder:
    return load_encoder(tiny_model)


@pytest.fixture(scope="session")
def data(encoder: TextEncoder) -> Iterator[Path]:
    """A data folder with one published set."""
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-serving-"))
    try:
        publish_synthetic(folder, Size(), encoder, encode=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def settings(data: Path) -> Settings:
    return Settings(data_dir=data, serve=ServeSettings(api_key=KEY, requests_per_second=0))


@pytest.fixture(scope="session")
def engine(settings: Settings) -> Iterator[Engine]:
    with Engine.open(settings) as engine:
        yield engine
