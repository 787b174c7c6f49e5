"""ChromaDB versions: built aside, verified, switched."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.search.chroma import build as chroma
from beauty_rec.search.chroma.build import build_index
from beauty_rec.search.chroma.index import (
    POINTER,
    ChromaIndex,
    current_version,
    fault,
    open_current,
)
from beauty_rec.search.exact import ExactIndex
from beauty_rec.search.protocol import IndexBuildError, IndexDamagedError, recall_against_exact
from beauty_rec.settings import TextIndexSettings
from beauty_rec_tests.harm import HARMS, flip_bit

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


def test_vectors_are_told_apart_without_a_copy_of_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beauty_rec.search.exact.CHUNK_BYTES", 1 << 16)
    matrix = np.random.default_rng(0).random((2_000, 512), np.float32)
    matrix[7::100], matrix[3] = matrix[7], matrix[1_000]
    ids = [f"item {i}" for i in range(2_000)]
    tracemalloc.start()
    try:
        rows, shared = chroma._distinct(Vectors(ids, matrix))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < matrix.nbytes / 4
    assert rows == [i for i in range(2_000) if i == 7 or (i % 100 != 7 and i != 1_000)]
    assert shared == {"item 3": ["item 3", "item 1000"], "item 7": ids[7::100]}
    assert list(shared) == ["item 3", "item 7"]


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
    served = current_version(tmp_path)
    assert served is not None
    assert served.version == "one"
    build_index(tmp_path, unit_vectors(30), "two", SETTINGS)
    with open_current(tmp_path) as index:
        assert index.count() == 30


def test_a_poor_index_is_refused_and_yesterdays_serves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(tmp_path, unit_vectors(20), "one", SETTINGS)
    monkeypatch.setattr("beauty_rec.search.chroma.build.recall_against_exact", lambda *_: 0.5)
    with pytest.raises(IndexBuildError, match=r"recall@100.*0\.500.*ef_search"):
        build_index(tmp_path, unit_vectors(30), "two", SETTINGS)
    served = current_version(tmp_path)
    assert served is not None
    assert served.version == "one"


def test_lost_writes_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChromaIndex, "ids", lambda self: ["item 0"])
    with pytest.raises(IndexBuildError, match="30 were written"):
        build_index(tmp_path, unit_vectors(30), "one", SETTINGS)
    assert not (tmp_path / POINTER).exists()


def test_no_index_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--select text_index"), open_current(tmp_path):
        pass


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(
    "part",
    ["current.json", "one", "one/shared.json", "one/chroma.sqlite3", "one/*/data_level0.bin"],
)
def test_a_damaged_version_is_not_read_and_is_built_anew(
    tmp_path: Path, part: str, harm: str
) -> None:
    vectors = unit_vectors(1_200)  # enough for the graph to be written
    build_index(tmp_path, vectors, "one", SETTINGS)
    with open_current(tmp_path) as index:
        index.search(vectors.matrix[:1], 1)
    assert fault(tmp_path) is None
    (path,) = tmp_path.glob(part)
    if harm == "one bit flipped" and path.suffix != ".json":  # where something is written
        flip_bit(path, b"item 60" if path.suffix == ".sqlite3" else b"")
    else:
        HARMS[harm](path)
    refusals = (IndexDamagedError, FileNotFoundError)
    with pytest.raises(refusals, match="beauty-rec run") as found, open_current(tmp_path):
        pass
    assert str(tmp_path) in str(found.value)
    build_index(tmp_path, vectors, "one", SETTINGS)
    assert fault(tmp_path) is None
    with open_current(tmp_path) as index:
        assert index.search(vectors.matrix[:1], 1).ids == [["item 0"]]


def changed(vectors: Vectors, share: float) -> Vectors:
    """Some vectors are others, some items are gone, some are new."""
    count = max(1, int(share * len(vectors.ids) / 3))
    new = unit_vectors(2 * count, seed=7).matrix
    matrix = np.array(vectors.matrix)
    matrix[:count] = new[:count]
    kept = slice(0, len(matrix) - count)
    ids = [*vectors.ids[kept], *(f"new {i}" for i in range(count))]
    return Vectors(ids, np.concatenate([matrix[kept], new[count:]]))


def test_few_changes_are_made_in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = unit_vectors(600)
    build_index(tmp_path, first, "one", SETTINGS)
    monkeypatch.setattr(chroma, "_write", None)  # no graph is built
    second = changed(first, 0.06)
    built = build_index(tmp_path, second, "two", SETTINGS)
    assert built.rows == len(second.ids)
    with open_current(tmp_path) as index, ChromaIndex(tmp_path / "one") as before:
        assert sorted(index.ids()) == sorted(second.ids)
        assert sorted(before.ids()) == sorted(first.ids)
        everything = ExactIndex(second)
        assert recall_against_exact(index, everything, second.matrix[:50], 100) > 0.99
        old = index.search(first.matrix[:1], 1)
        assert old.ids[0] != ["item 0"]  # its vector is another now
        assert before.search(first.matrix[:1], 1).ids[0] == ["item 0"]
        kept = index._collection.get(include=["embeddings"])
        vectors = dict(zip(kept["ids"], kept["embeddings"], strict=True))
        np.testing.assert_allclose([vectors[item] for item in second.ids], second.matrix, rtol=1e-6)


def test_items_of_one_vector_part_and_meet_in_a_copy(tmp_path: Path) -> None:
    first = unit_vectors(100)
    matrix = np.array(first.matrix)
    matrix[1] = matrix[0]
    build_index(tmp_path, Vectors(first.ids, matrix), "one", SETTINGS)
    build_index(tmp_path, first, "two", SETTINGS)
    with open_current(tmp_path) as index:
        assert index.search(first.matrix[1:2], 1).ids == [["item 1"]]
    matrix[3] = matrix[2]
    build_index(tmp_path, Vectors(first.ids, matrix), "three", SETTINGS)
    with open_current(tmp_path) as index:
        assert sorted(index.search(matrix[3:4], 2).ids[0]) == ["item 2", "item 3"]
        assert sorted(index.ids()) == sorted(first.ids)


def test_many_changes_or_other_settings_build_the_graph_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []
    write = chroma._write

    def noted(*arguments: Any) -> None:
        built.append(arguments[0])
        write(*arguments)

    monkeypatch.setattr(chroma, "_write", noted)
    vectors = unit_vectors(300)
    build_index(tmp_path, vectors, "one", SETTINGS)
    build_index(tmp_path, changed(vectors, 0.9), "two", SETTINGS)
    wider = SETTINGS.model_copy(update={"max_neighbors": 40})
    build_index(tmp_path, changed(vectors, 0.9), "three", wider)
    assert [folder.name.split(".")[1] for folder in built] == ["one", "two", "three"]
    vectors = changed(vectors, 0.9)
    for night in range(6):  # small changes add up
        matrix = np.array(vectors.matrix)
        matrix[night * 15 : night * 15 + 15] = unit_vectors(15, seed=night).matrix
        vectors = Vectors(vectors.ids, matrix)
        build_index(tmp_path, vectors, f"night{night}", wider)
    assert [folder.name.split(".")[1] for folder in built][3:] == ["night4"]
