"""The map of queries and items: scores stay in fewer columns, and a graph over them finds again."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from psycopg import sql

from beauty_rec.artifacts import Vectors
from beauty_rec.search.exact import ExactIndex
from beauty_rec.search.pgvector.build import build_index
from beauty_rec.search.pgvector.faults import fault
from beauty_rec.search.pgvector.index import open_current
from beauty_rec.search.pgvector.tables import connect, read_served, read_whitening
from beauty_rec.search.pgvector.whitening import Whitening
from beauty_rec.settings import ItemIndexSettings

TOWER, STATISTICS = 24, 12
SETTINGS = ItemIndexSettings(m=16, ef_construction=64, ef_search=100, grace_seconds=0)
_counter = itertools.count()


@pytest.fixture
def name() -> str:
    """An index of this test's own."""
    return f"whitened_{next(_counter)}"


def shop(count: int) -> Vectors:
    """Unit vectors of towers beside statistics, as long as items are popular."""
    random = np.random.default_rng(0)
    tower = random.standard_normal((count, TOWER))
    tower /= np.linalg.norm(tower, axis=1, keepdims=True)
    statistics = random.standard_normal((count, STATISTICS)) * random.pareto(2, (count, 1)) * 4
    matrix = np.concatenate([tower, statistics], axis=1)
    return Vectors([f"item {row}" for row in range(count)], matrix.astype(np.float32))


def users(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Who ask for some kinds of item more than for others, and for one statistic only."""
    random = np.random.default_rng(seed)
    asked = random.standard_normal((count, TOWER + STATISTICS))
    weights = np.concatenate([20 * 0.8 ** np.arange(TOWER), [0.5], np.zeros(STATISTICS - 1)])
    return (asked * weights).astype(np.float32)


def test_inner_products_stay_along_what_is_asked_and_items_become_equally_long() -> None:
    items, asked = shop(500).matrix, users(200)
    whitening = Whitening.of(asked, items)
    mapped = np.concatenate(list(whitening.items(items)))
    assert mapped.shape == (500, whitening.width) == (500, TOWER + 1 + 1)  # one statistic is asked
    for queries in (asked, users(20, seed=2)):
        scores = queries @ items.T
        error = np.abs(whitening.queries(queries) @ mapped.T - scores).max()
        assert error <= 1e-5 * np.abs(scores).max()
    lengths = np.linalg.norm(mapped, axis=1)
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-5)


@pytest.mark.parametrize("queries", [users(0), users(3), np.zeros((3, TOWER + STATISTICS), "f4")])
def test_nothing_is_left_out_where_queries_do_not_tell_what_is_asked(
    queries: NDArray[np.float32],
) -> None:
    items = shop(20).matrix
    whitening = Whitening.of(queries, items)
    assert whitening.width == items.shape[1] + 1
    others = np.random.default_rng(2).standard_normal((9, items.shape[1])).astype(np.float32)
    mapped = np.concatenate(list(whitening.items(items)))
    np.testing.assert_allclose(whitening.queries(others) @ mapped.T, others @ items.T, rtol=1e-3)


def test_no_more_columns_than_an_index_takes() -> None:
    items = shop(20).matrix
    assert Whitening.of(users(3), items, most=30).width == 31


def test_items_are_near_each_other_where_users_score_them_alike() -> None:
    """Against the mean of score products over the users, up to what is added in all directions."""
    items, asked = shop(50).matrix, users(4_000)
    whitening = Whitening.of(asked, items)
    mapped = np.concatenate(list(whitening.items(items)))[:, :-1].astype(np.float64)
    scores = (asked @ items.T).astype(np.float64)
    wanted = scores.T @ scores
    near = np.corrcoef((mapped @ mapped.T).ravel(), wanted.ravel())[0, 1]
    apart = np.corrcoef((items @ items.T).ravel(), wanted.ravel())[0, 1]
    assert near > 0.98 > apart


@pytest.mark.slow
def test_a_graph_fitted_to_its_queries_finds_what_the_plain_one_misses(dsn: str, name: str) -> None:
    vectors, asked = shop(6_000), users(1_000)
    anything = SETTINGS.model_copy(update={"min_recall": 0.0})
    exact, held = ExactIndex(vectors).search(users(50, seed=3), 100), users(50, seed=3)
    found = {}
    for version, queries in (("plain", None), ("fitted", asked)):
        build_index(dsn, vectors, version, anything, queries=queries, name=name)
        with open_current(dsn, anything, name=name) as index:
            index._connection.execute("SET enable_seqscan = off")
            answers = index.search(held, 100)
        shared = [len({*a} & {*b}) for a, b in zip(answers.ids, exact.ids, strict=True)]
        found[version] = np.mean(shared) / 100
        own = [dict(zip(*pair, strict=True)) for pair in zip(exact.ids, exact.scores, strict=True)]
        for known, ids, scores in zip(own, answers.ids, answers.scores, strict=True):
            for item, score in zip(ids, scores, strict=True):
                assert score == pytest.approx(known.get(item, score), abs=1e-3)
    assert found["fitted"] > 0.95
    assert found["fitted"] > found["plain"] + 0.1


def test_a_halfvec_that_is_fitted_rounds_and_refuses_what_it_cannot_hold(
    dsn: str, name: str
) -> None:
    half = SETTINGS.model_copy(update={"type": "halfvec"})
    vectors, asked = shop(300), users(100)
    assert build_index(dsn, vectors, "one", half, queries=asked, name=name).recall_vs_exact >= 0.98
    with open_current(dsn, half, name=name) as index:
        found, exact = index.search(asked, 20), ExactIndex(vectors).search(asked, 20)
        np.testing.assert_allclose(found.scores, exact.scores, rtol=0.01, atol=0.01)
        with pytest.raises(ValueError, match=r"mapped queries hold .*; halfvec ends at 65504"):
            index.search(np.full((1, TOWER + STATISTICS), 6e4, np.float32), 5)


def test_a_whitening_that_was_changed_is_a_fault_and_goes_with_its_table(
    dsn: str, name: str
) -> None:
    build_index(dsn, shop(50), "one", SETTINGS, queries=users(30), name=name)
    assert fault(dsn, "one", name=name) is None
    with connect(dsn) as connection:
        served = read_served(connection, name)
        assert served is not None
        assert len(read_whitening(connection, served.table))
        statement = sql.SQL("UPDATE index_whitening SET of_queries = {} WHERE table_name = {}")
        zeros = bytes(4 * (TOWER + STATISTICS))
        connection.execute(statement.format(sql.Literal(zeros), sql.Literal(served.table)))
    assert "not those that were written" in (fault(dsn, "one", name=name) or "")
    build_index(dsn, shop(60), "two", SETTINGS, queries=users(30), name=name)
    with connect(dsn) as connection, pytest.raises(LookupError, match="not known"):
        read_whitening(connection, served.table)
