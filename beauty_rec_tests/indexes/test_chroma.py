"""ChromaDB versions: built aside, verified, switched."""

from pathlib import Path

import numpy as np
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.indexes.chroma import (
    POINTER,
    ChromaIndex,
    build_index,
    current_version,
    open_current,
)
from beauty_rec.indexes.protocol import IndexBuildError
from beauty_rec.settings import TextIndexSettings

SETTINGS = TextIndexSettings()


def unit_vectors(count: int, seed: int = 0) -> Vectors:
    matrix = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return Vectors([f"item {i}" for i in range(count)], matrix)


def test_a_version_is_built_verified_and_served(tmp_path: Path) -> None:
    vectors = unit_vectors(300)
    built = build_index(tmp_path, vectors, "one", SETTINGS)
    assert built.rows == 300
    assert built.recall_vs_exact >= 0.95
    with open_current(tmp_path) as index:
        found = index.search(vectors.matrix[:2], 5)
        assert [ids[0] for ids in found.ids] == ["item 0", "item 1"]
        np.testing.assert_allclose(found.scores[:, 0], 1, atol=1e-5)
        assert (np.diff(found.scores, axis=1) <= 0).all()
        assert len(index.search(vectors.matrix[:1], 1000).ids[0]) == 300  # k beyond the catalogue


def test_thousands_of_items_on_few_points_are_all_found(tmp_path: Path) -> None:
    few = unit_vectors(7).matrix
    vectors = Vectors([f"item {i}" for i in range(2_000)], few[np.arange(2_000) % 7])
    assert build_index(tmp_path, vectors, "one", SETTINGS).recall_vs_exact == 1.0
    with open_current(tmp_path) as index:
        assert index.count() == 2_000
        found = index.search(few[:3], 400)
        assert found.scores.shape == (3, 400)
        for query, ids in enumerate(found.ids):
            assert len(set(ids)) == 400
            nearest = [name for name in ids if int(name.split()[1]) % 7 == query]
            assert nearest == ids[: len(nearest)]
            assert len(nearest) == len([i for i in range(2_000) if i % 7 == query])


def test_readers_keep_the_old_version_and_new_ones_get_the_new(tmp_path: Path) -> None:
    build_index(tmp_path, unit_vectors(20), "one", SETTINGS)
    with open_current(tmp_path) as old:
        build_index(tmp_path, unit_vectors(30, seed=1), "two", SETTINGS)
        assert old.count() == 20
        assert len(old.search(unit_vectors(1).matrix, 20).ids[0]) == 20
    with open_current(tmp_path) as new:
        assert new.count() == 30
    build_index(tmp_path, unit_vectors(40, seed=2), "three", SETTINGS)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["three", "two"]


def test_a_build_that_dies_half_way_disturbs_nothing(tmp_path: Path) -> None:
    build_index(tmp_path, unit_vectors(20), "one", SETTINGS)
    half = tmp_path / "two"
    half.mkdir()
    (half / "chroma.sqlite3").write_bytes(b"torn")
    assert current_version(tmp_path).version == "one"
    build_index(tmp_path, unit_vectors(30), "two", SETTINGS)
    with open_current(tmp_path) as index:
        assert index.count() == 30


def test_a_poor_index_is_refused_and_yesterdays_serves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(tmp_path, unit_vectors(20), "one", SETTINGS)
    monkeypatch.setattr("beauty_rec.indexes.chroma.recall_against_exact", lambda *_: 0.5)
    with pytest.raises(IndexBuildError, match=r"recall@100.*0\.500.*ef_search"):
        build_index(tmp_path, unit_vectors(30), "two", SETTINGS)
    assert current_version(tmp_path).version == "one"


def test_lost_writes_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChromaIndex, "ids", lambda self: ["item 0"])
    with pytest.raises(IndexBuildError, match="30 were written"):
        build_index(tmp_path, unit_vectors(30), "one", SETTINGS)
    assert not (tmp_path / POINTER).exists()


def test_no_index_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--select text_index"), open_current(tmp_path):
        pass
