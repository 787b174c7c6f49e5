"""The look for newer sets never ends, and says what it refuses."""

import json
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from beauty_rec.artifacts import content_hash
from beauty_rec.recommender.online.sets.manifest import ManifestError
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.published.manifest import read_manifest
from beauty_rec.serving.state import engine as module
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.watcher import watching
from beauty_rec.settings import Settings
from beauty_rec_tests.recommender import synthetic_set
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic


@pytest.fixture
def engine(encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine whose next set is published, and not served yet."""
    monkeypatch.setattr(module, "TRY_AGAIN_SECONDS", 0.0)
    publish_synthetic(tmp_path, Size(items=40, events=300, seed=1), encoder, encode=False)
    engine = Engine(Settings(data_dir=tmp_path))
    publish_synthetic(tmp_path, Size(items=40, events=300, seed=2), encoder, encode=False)
    return engine


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Let this process open no more files, until the test's end."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_a_full_descriptor_table_is_counted_and_outlived(
    engine: Engine, no_descriptors: Callable[[], None]
) -> None:
    old, new = engine.shop.manifest.set, read_manifest(engine.root).set
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)
    no_descriptors()
    with watching(engine.look, 0.01):
        until(lambda: engine.refusals > 2)
        assert "Too many open files" in (engine.refused or "")
        assert engine.shop.manifest.set == old
        resource.setrlimit(resource.RLIMIT_NOFILE, soft)
        until(lambda: engine.shop.manifest.set == new)
    assert engine.refused is None
    assert engine.switches == 1
    assert 0 <= engine.set_age_seconds < 600


@pytest.mark.parametrize("harm", ["garbage", "missing", "not a file"])
def test_a_damaged_set_is_refused_until_it_is_repaired(engine: Engine, harm: str) -> None:
    new = read_manifest(engine.root)
    part = engine.root / "versions" / new.set / "cards.parquet"
    kept = part.with_name(".kept")
    shutil.copy(part, kept)
    part.unlink()
    if harm == "garbage":
        part.write_bytes(b"\0" * 100)
    elif harm == "not a file":
        part.mkdir()
    assert engine.look() is False
    assert engine.look() is False
    assert engine.refusals == 2
    shutil.rmtree(part) if harm == "not a file" else part.unlink(missing_ok=True)
    kept.rename(part)
    assert engine.look() is True
    assert engine.shop.manifest.set == new.set


def test_a_set_that_loads_but_cannot_answer_is_refused(engine: Engine) -> None:
    """Every hash is right, as of a set that was published so, and yet no answer comes of it."""
    old, new = engine.shop.manifest.set, read_manifest(engine.root)
    vectors = engine.root / "versions" / new.set / "item_index" / "vectors.npy"
    matrix = np.load(vectors)
    vectors.unlink()
    np.save(vectors, np.full_like(matrix, np.nan))
    parts = {**new.parts, "item_index": content_hash(vectors.parent)}
    damaged = {**new.model_dump(), "parts": parts}
    (engine.root / "manifest.json").write_text(json.dumps(damaged))
    assert engine.look() is False
    assert engine.shop.manifest.set == old
    assert engine.refused is not None


def test_whatever_a_look_raises_the_next_one_comes() -> None:
    looks: list[int] = []
    enough = threading.Event()

    def look() -> None:
        looks.append(1)
        if len(looks) > 2:
            enough.set()
        raise OSError("no")

    with watching(look, 0.001):
        assert enough.wait(10)


def test_a_set_is_asked_before_it_is_published(
    encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = Size(items=40, events=300, seed=1)
    first = publish_synthetic(tmp_path, size, encoder, encode=False)

    monkeypatch.setattr(
        synthetic_set,
        "_clustered",
        lambda draw, rows, width: np.full((rows, width), np.nan, np.float32),
    )
    with pytest.raises(ManifestError):
        publish_synthetic(tmp_path, Size(items=40, events=300, seed=2), encoder, encode=False)
    assert read_manifest(tmp_path / "serving") == first
    assert [path.name for path in (tmp_path / "serving" / "versions").iterdir()] == [first.set]
