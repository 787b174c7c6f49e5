"""A data folder with two published sets of the same items, the second one being served."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.published.kept import EXPERIMENT
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ServeSettings, Settings
from beauty_rec_tests.recommender.served_set import KEY
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic

ITEMS = 60


class TwoSets(NamedTuple):
    """Names of the sets, and the settings of their folder."""

    old: str
    new: str
    settings: Settings

    @property
    def root(self) -> Path:
        return self.settings.data_dir / "serving"

    def describe(self, text: str) -> None:
        """Put the experiment in place, as `beauty-rec experiment start` does."""
        (self.root / EXPERIMENT).write_text(text)

    def publish(self, encoder: TextEncoder, seed: int) -> str:
        size = Size(items=ITEMS, events=300, users=40, seed=seed)
        return publish_synthetic(self.settings.data_dir, size, encoder, encode=False).set


def two_sets(encoder: TextEncoder) -> TwoSets:
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-experiment-"))
    serve = ServeSettings(api_key=KEY, requests_per_second=0, poll_seconds=0.2)
    settings = Settings(data_dir=folder, serve=serve)
    made = TwoSets("", "", settings)
    # Seeds that are alike to a hundred name the same items.
    return TwoSets(made.publish(encoder, 101), made.publish(encoder, 201), settings)


def experiment(sets: TwoSets, name: str = "two-sets", more: str = "") -> str:
    """An experiment of both sets, half and half."""
    return (
        f'name = "{name}"\nminimum_users = 20\n{more}\n'
        f'[variants.old]\nshare = 0.5\nset = "{sets.old}"\n[variants.new]\nshare = 0.5\n'
    )


@pytest.fixture(scope="module")
def sets(encoder: TextEncoder) -> Iterator[TwoSets]:
    made = two_sets(encoder)
    try:
        yield made
    finally:
        shutil.rmtree(made.settings.data_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def shop(sets: TwoSets) -> Iterator[Engine]:
    """An engine of the folder, with a PostgreSQL of its own."""
    with Engine.open(sets.settings) as engine:
        yield engine
