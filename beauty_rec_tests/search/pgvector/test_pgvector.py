"""pgvector against exact search and slow loops; versions built aside and switched."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pgvector import Vector
from psycopg import sql

from beauty_rec.artifacts import Vectors
from beauty_rec.search.exact import ExactIndex
from beauty_rec.search.pgvector.build import build_index, item_index_version
from beauty_rec.search.pgvector.index import PgVectorIndex, current_version, open_current
from beauty_rec.search.pgvector.tables import connect, read_served
from beauty_rec.search.pgvector.whitening import whitened
from beauty_rec.search.protocol import IndexBuildError, recall_against_exact
from beauty_rec.settings import ItemIndexSettings

SETTINGS = ItemIndexSettings(m=24, ef_construction=200)  # finds all of these, not 98% of them
EAGER = SETTINGS.model_copy(update={"grace_seconds": 0})
DIMENSION = 12


def some_vectors(count: int, seed: int = 0) -> Vectors:
    """Vectors whose lengths differ, so that inner product and cosine disagree."""
    random = np.random.default_rng(seed)
    matrix = random.standard_normal((count, DIMENSION)) * random.uniform(0.2, 3, (count, 1))
    return Vectors([f"item {i}" for i in range(count)], matrix.astype(np.float32))


ITEMS = some_vectors(2_000)
QUERIES = some_vectors(3, seed=9).matrix
_counter = itertools.count()


@pytest.fixture
def name() -> str:
    """An index of this test's own."""
    return f"test_{next(_counter)}"


@pytest.fixture(scope="module")
def index(dsn: str) -> Iterator[PgVectorIndex]:
    build_index(dsn, ITEMS, "one", SETTINGS, name="shared")
    with open_current(dsn, SETTINGS, name="shared") as opened:
        yield opened


@pytest.fixture(scope="module")
def only_hnsw(index: PgVectorIndex, dsn: str) -> Iterator[PgVectorIndex]:
    """The same, but the planner may not read the small table without its HNSW index."""
    with open_current(dsn, SETTINGS, name="shared") as opened:
        for way in ("seqscan", "bitmapscan", "sort"):
            opened._connection.execute("SELECT set_config(%s, 'off', false)", [f"enable_{way}"])
        yield opened


def test_it_equals_exact_search_by_inner_product(only_hnsw: PgVectorIndex) -> None:
    exact = ExactIndex(ITEMS).search(ITEMS.matrix[:50], 10)
    found = only_hnsw.search(ITEMS.matrix[:50], 10)
    np.testing.assert_allclose(found.scores, exact.scores, rtol=1e-5)
    assert found.ids == exact.ids
    assert recall_against_exact(only_hnsw, ExactIndex(ITEMS), ITEMS.matrix[:100]) >= 0.98


@pytest.mark.parametrize("k", [0, 1, 999, 5_000])
def test_any_k(index: PgVectorIndex, only_hnsw: PgVectorIndex, k: int) -> None:
    for one in (index, only_hnsw):
        found = one.search(QUERIES, k)
        assert found.scores.shape == (3, min(k, 2_000))
        assert all(len(set(ids)) == min(k, 2_000) for ids in found.ids)
        assert (np.diff(found.scores, axis=1) <= 0).all()
    assert index.search(QUERIES[:0], 7).scores.shape == (0, 7)


@settings(max_examples=15, deadline=None)
@given(k=st.integers(1, 300), excluded=st.sets(st.integers(0, 2_100), max_size=60))
def test_exclusions_equal_a_slow_loop(
    index: PgVectorIndex, only_hnsw: PgVectorIndex, k: int, excluded: set[int]
) -> None:
    query = QUERIES[0]
    out = {f"item {i}" for i in excluded}
    scores = dict(zip(ITEMS.ids, (ITEMS.matrix @ query).tolist(), strict=True))
    left = {id_: score for id_, score in scores.items() if id_ not in out}
    wanted = sorted(left.values(), reverse=True)[:k]
    for one in (index, only_hnsw):
        found = one.search(query[None], k, exclude=[sorted(out)])
        assert found.scores.shape == (1, len(wanted))
        own = [left[id_] for id_ in found.ids[0]]
        assert own == pytest.approx(sorted(own, reverse=True), abs=1e-5)
        np.testing.assert_allclose(found.scores[0], own, atol=1e-5)
        if one is index:
            np.testing.assert_allclose(found.scores[0], wanted, atol=1e-5)


def test_k_are_found_where_the_nearest_are_all_left_out(only_hnsw: PgVectorIndex) -> None:
    nearest = [ITEMS.ids[row] for row in np.argsort(-(ITEMS.matrix @ QUERIES[0]))]
    (near,) = whitened(QUERIES[:1], only_hnsw._of_queries)
    vectors = {"query": Vector(QUERIES[0]), "near": Vector(near)}
    parameters = {**vectors, "k": 10, "exclude": nearest[:1_500]}
    execute = only_hnsw._connection.execute
    only_hnsw.search(QUERIES, 10)  # sets ef_search
    statement = only_hnsw._by_index
    plan = execute(sql.SQL("EXPLAIN ") + statement, parameters).fetchall()
    assert any("hnsw" in line or "near_idx" in line for (line,) in plan)
    assert len(execute(statement, parameters).fetchall()) == 10  # the iterative scan alone
    with only_hnsw._connection.transaction():
        execute("SET LOCAL hnsw.iterative_scan = off")
        execute("SET LOCAL hnsw.ef_search = 40")
        assert len(execute(statement, parameters).fetchall()) < 10  # why it is on
    found = only_hnsw.search(QUERIES[:1], 30, exclude=[nearest[:1_980]])
    assert sorted(found.ids[0]) == sorted(nearest[1_980:])


def test_each_query_has_its_own_exclusions(index: PgVectorIndex) -> None:
    best = index.search(QUERIES, 3).ids
    found = index.search(QUERIES, 3, exclude=[best[0], [], ["item 0' --", "\0"]])
    assert not set(found.ids[0]) & set(best[0])
    assert found.ids[1:] == best[1:]
    everything_but_one = [id_ for id_ in ITEMS.ids if id_ != "item 7"]
    ragged = index.search(QUERIES[:2], 2, exclude=[everything_but_one, []])
    assert ragged.ids[0] == ["item 7"]
    assert ragged.scores[0, 1] == -np.inf


def test_odd_ids_are_only_data(dsn: str, name: str) -> None:
    odd = ["'; DROP TABLE served_index; --", 'a"b', "%s {} %(k)s", "émoji 💄", "\\N", "\t"]
    build_index(dsn, Vectors(odd, some_vectors(len(odd)).matrix), "one", SETTINGS, name=name)
    with open_current(dsn, SETTINGS, name=name) as opened:
        for text in odd:
            others = [other for other in odd if other != text]
            assert opened.search(QUERIES[:1], 9, exclude=[others]).ids == [[text]]


def test_halfvec_rounds_and_is_found(dsn: str, name: str) -> None:
    half = ItemIndexSettings(type="halfvec")
    vectors = some_vectors(300)
    assert build_index(dsn, vectors, "one", half, name=name).recall_vs_exact >= 0.98
    with open_current(dsn, half, name=name) as opened:
        found = opened.search(QUERIES, 20)
        exact = ExactIndex(vectors).search(QUERIES, 20)
        np.testing.assert_allclose(found.scores, exact.scores, rtol=0.01, atol=0.01)
    large = Vectors(["a"], np.full((1, 3), 1e6, dtype=np.float32))
    with pytest.raises(ValueError, match="halfvec ends at 65504"):
        build_index(dsn, large, "two", half, name=name)


@pytest.mark.slow
def test_vectors_too_large_for_a_page(dsn: str, name: str) -> None:
    matrix = np.random.default_rng(0).standard_normal((20, 2_000)).astype(np.float32)
    vectors = Vectors([str(i) for i in range(20)], matrix)
    build_index(dsn, vectors, "one", SETTINGS, name=name)
    with open_current(dsn, SETTINGS, name=name) as opened:
        assert opened.search(matrix[:3], 1).ids == [["0"], ["1"], ["2"]]


def test_an_empty_catalogue(dsn: str, name: str) -> None:
    assert build_index(dsn, some_vectors(0), "one", SETTINGS, name=name).rows == 0
    with open_current(dsn, SETTINGS, name=name) as opened:
        assert opened.search(QUERIES, 5).scores.shape == (3, 0)


def test_a_reader_keeps_its_version_until_the_grace_is_over(dsn: str, name: str) -> None:
    build_index(dsn, some_vectors(20), "one", SETTINGS, name=name)
    with open_current(dsn, SETTINGS, name=name) as old:
        build_index(dsn, some_vectors(30), "two", SETTINGS, name=name)
        assert old.count() == len(old.search(QUERIES, 50).ids[0]) == 20
        with open_current(dsn, SETTINGS, name=name) as new:
            assert new.count() == 30
        build_index(dsn, some_vectors(40), "three", EAGER, name=name)
        with pytest.raises(LookupError, match="dropped after its grace"):
            old.search(QUERIES, 5)
    assert tables(dsn, name) == [f"{name}__three"]
    served = current_version(dsn, name=name)
    assert served is not None
    assert served.rows == 40


def test_a_killed_build_is_replaced(dsn: str, name: str) -> None:
    build_index(dsn, some_vectors(20), "one", SETTINGS, name=name)
    with psycopg.connect(dsn) as connection:
        for version in ("two", "abandoned"):
            connection.execute(f"CREATE TABLE {name}__{version} (half int)".encode())
    served = current_version(dsn, name=name)
    assert served is not None
    assert served.version == "one"
    build_index(dsn, some_vectors(30), "two", SETTINGS, name=name)
    with open_current(dsn, SETTINGS, name=name) as opened:
        assert opened.count() == 30
    assert tables(dsn, name) == [f"{name}__one", f"{name}__two"]


def test_a_poor_index_is_refused_and_yesterdays_serves_on(
    dsn: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(dsn, some_vectors(20), "one", SETTINGS, name=name)
    with monkeypatch.context() as patch:
        patch.setattr("beauty_rec.search.pgvector.build.recall_against_exact", lambda *_: 0.5)
        with pytest.raises(IndexBuildError, match=r"recall@100.*0\.500.*ef_search"):
            build_index(dsn, some_vectors(30), "two", SETTINGS, name=name)
    monkeypatch.setattr(PgVectorIndex, "count", lambda self: 29)
    with pytest.raises(IndexBuildError, match="30 were written"):
        build_index(dsn, some_vectors(30), "two", SETTINGS, name=name)
    assert tables(dsn, name) == [f"{name}__one"]
    served = current_version(dsn, name=name)
    assert served is not None
    assert served.version == "one"


def test_a_search_keeps_more_candidates_until_the_recall_is_reached(
    dsn: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def recall(index: Any, *_: object) -> float:
        seen.append(index._index.ef_search)
        return 0.5 if seen[-1] < 800 else 0.99

    monkeypatch.setattr("beauty_rec.search.pgvector.build.recall_against_exact", recall)
    built = build_index(dsn, some_vectors(20), "one", SETTINGS, name=name)
    assert (seen, built.ef_search) == ([400, 800], 800)
    with open_current(dsn, SETTINGS, name=name) as opened:
        assert opened.ef_search == 800
        opened.search(QUERIES, 5)
        assert opened._connection.execute("SHOW hnsw.ef_search").fetchone() == ("800",)


def test_an_unchanged_version_is_not_built_again(dsn: str, name: str) -> None:
    built = build_index(dsn, some_vectors(20), "one", SETTINGS, name=name)
    with connect(dsn) as connection:
        oid = connection.execute("SELECT %s::regclass::oid", [f"{name}__one"]).fetchone()
        assert build_index(dsn, some_vectors(20), "one", SETTINGS, name=name) == built
        assert connection.execute("SELECT %s::regclass::oid", [f"{name}__one"]).fetchone() == oid
        assert read_served(connection, "none such") is None


def test_the_version_stands_for_all_content() -> None:
    vectors = some_vectors(5)
    version = item_index_version(vectors, SETTINGS)
    assert item_index_version(some_vectors(5), EAGER) == version
    others = [
        (some_vectors(5, seed=1), SETTINGS),
        (Vectors(vectors.ids[::-1], vectors.matrix), SETTINGS),
        (vectors, SETTINGS.model_copy(update={"type": "halfvec"})),
        (vectors, SETTINGS.model_copy(update={"m": 20})),
    ]
    assert version not in {item_index_version(*other) for other in others}


def with_nan(vectors: Vectors) -> Vectors:
    vectors.matrix[1, 2] = np.nan
    return vectors


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (Vectors(["a", "b", "a"], some_vectors(3).matrix), r"doubled ids: \['a'\]"),
        (with_nan(some_vectors(3)), "NaN or infinity in 1 rows, first in row 1"),
        (Vectors(["a"], np.zeros((1, 2_001), np.float32)), r"vector can index \[N, 1\.\.2000\]"),
        (Vectors(["a"], np.zeros((1, 0), np.float32)), "can index"),
        (Vectors(["a\0"], np.zeros((1, 2), np.float32)), "NUL"),
        (Vectors([""], np.zeros((1, 2), np.float32)), "empty"),
        (Vectors(["x" * 7_317], np.zeros((1, 2), np.float32)), "longer than 600 characters"),
    ],
)
def test_what_cannot_be_stored_is_said(vectors: Vectors, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_index("host=nowhere", vectors, "one", SETTINGS)


def test_wrong_questions_are_answered_clearly(index: PgVectorIndex, dsn: str) -> None:
    with pytest.raises(ValueError, match=r"queries of shape \(1, 3\) for an index of \[N, 12\]"):
        index.search(np.zeros((1, 3), np.float32), 5)
    with pytest.raises(ValueError, match="NaN"):
        index.search(np.full((1, DIMENSION), np.nan, np.float32), 5)
    with pytest.raises(ValueError, match="1 lists of exclusions for 3"):
        index.search(QUERIES, 5, exclude=[[]])
    with pytest.raises(FileNotFoundError, match="--select item_index"):
        open_current(dsn, SETTINGS, name="nothing").__enter__()
    for bad in ("Name", "a__b", "a; --", ""):
        with pytest.raises(ValueError, match="no index name"):
            build_index(dsn, ITEMS, "one", SETTINGS, name=bad)
    with pytest.raises(ValueError, match="no version"):
        build_index(dsn, ITEMS, "one_2", SETTINGS, name="fine")


def test_two_builders_take_turns(dsn: str, name: str) -> None:
    versions = ["one", "two", "three"]
    threads = [
        threading.Thread(
            target=build_index,
            args=(dsn, some_vectors(50), version, EAGER),
            kwargs={"name": name},
        )
        for version in versions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served = current_version(dsn, name=name)
    assert served is not None
    assert tables(dsn, name) == [f"{name}__{served.version}"]


def tables(dsn: str, name: str) -> list[str]:
    with connect(dsn) as connection:
        found = connection.execute(
            "SELECT tablename FROM pg_tables WHERE starts_with(tablename, %s) ORDER BY 1",
            [f"{name}__"],
        )
        return [table for (table,) in found]
