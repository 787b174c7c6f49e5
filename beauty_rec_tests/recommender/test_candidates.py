"""Candidates against a loop over all items and sources, and the same answer offline and online."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.events.asked import split_events
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.candidates import Found, find_candidates
from beauty_rec.recommender.offline.ordering import ordered_lists, probabilities
from beauty_rec.recommender.offline.scenarios import asked_events, hits_of, queries_of, split_lists
from beauty_rec.recommender.offline.shelves import Shelf
from beauty_rec.recommender.online.recommend import recommend
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.understood import asks_of, understand
from beauty_rec.recommender.path import kind_of
from beauty_rec.recommender.said import REFERENCE
from beauty_rec.recommender.scored import CommonScores
from beauty_rec.recommender.sources import SOURCES, AnySource, sources_of
from beauty_rec.recommender.sources.arrivals import ArrivalsSource
from beauty_rec.recommender.sources.protocol import VectorSource
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.retriever.contexts import context_vectors
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.search.near_ties import ranked
from beauty_rec.serving.published.manifest import read_manifest
from beauty_rec.serving.state.engine import load_set
from beauty_rec.settings import Settings
from beauty_rec_tests.recommender.served_set import USER
from beauty_rec_tests.recommender.synthetic_set import Size, frames_of

AT = 1_600_000_000_000


@pytest.fixture(scope="module")
def shop(settings: Settings) -> Snapshot:
    root = settings.data_dir / "serving"
    return load_set(root, read_manifest(root), settings.encoder)


@pytest.fixture(scope="module")
def asks(shop: Snapshot) -> Asks:
    requests = [
        RecommendRequest(at=AT, user_id=USER, context="rose soap"),
        RecommendRequest(at=AT),
        RecommendRequest(at=AT, user_id=USER, context="wedding"),
        RecommendRequest(at=AT, history=["B130000003"], context="qwxz"),
        RecommendRequest(at=100_000_000_000, user_id=USER),
    ]
    return asks_of(shop, [understand(shop, one) for one in requests])


def said(source: AnySource, asks: Asks, space: ItemSpace) -> np.ndarray:
    """What a source says of every item, float64 ``[Q, N]``; NaN for nothing."""
    if hasattr(source, "vectors"):
        matrix = space.vectors(np.arange(len(space))).astype(np.float64)
        scores = source.vectors(asks, space).astype(np.float64) @ matrix.T
        silent = cast(VectorSource, source).silent(space)
        if silent is not None:
            scores[:, silent] = np.nan
    else:
        scores = source.scores(asks, space).astype(np.float64)
        scores[scores <= 0] = np.nan
    if source.reads_text:
        scores[~asks.has_text] = np.nan
    return scores


def parts(near: np.ndarray, rest: np.ndarray, depth: int) -> np.ndarray:
    """The first of two lists: three quarters of the one, or as many as the other leaves places."""
    first = near[: depth - min(len(rest), depth // 4)]
    return np.concatenate([first, rest[: depth - len(first)]])


def loop(
    scores: Sequence[np.ndarray],
    hidden: set[int],
    depth: int,
    allowed: np.ndarray | None,
    brings: Sequence[bool],
    alike: Sequence[set[int]],
) -> Found:
    """Candidates of one ask, by the definition; the first source is the user tower."""
    union: set[int] = set()
    tops = np.full((len(scores), 2), np.nan, np.float32)
    for column, own in enumerate(scores):
        rows = np.array(
            [row for row in range(len(own)) if row not in hidden and not np.isnan(own[row])],
            dtype=np.int64,
        )
        tied = np.isin(rows, [*alike[column]])
        near, rest = (
            part[ranked(by[part].astype(np.float32), part)]
            for part, by in ((rows[tied], scores[0]), (rows[~tied], own))
        )
        found = parts(near, rest, REFERENCE)
        if len(found):
            tops[column] = own[found].max(), own[found].min()
        if brings[column]:
            ok = np.ones(len(own), bool) if allowed is None else allowed
            union |= {*parts(near[ok[near]], rest[ok[rest]], depth).tolist()}
    rows = np.array(sorted(union), dtype=np.int64)
    return Found(rows, np.stack([own[rows] for own in scores], axis=1).astype(np.float32), tops)


@pytest.mark.parametrize("depth", [1, 7, 100, 250])
def test_candidates_are_the_best_of_every_source(shop: Snapshot, asks: Asks, depth: int) -> None:
    sources, space = shop.path.sources, shop.space
    draw = np.random.default_rng(depth)
    gone = draw.choice(len(space), 9, replace=False)
    allowed = [None, draw.random(len(space)) < 0.3, None, draw.random(len(space)) < 0.05, None]
    chosen = [SOURCES, ["popular", "lexical"], ["user_tower"], ["text_retriever"], SOURCES]
    found = list(
        find_candidates(sources, asks, space, depth, chosen=chosen, gone=gone, allowed=allowed)
    )
    assert len(found) == len(asks)
    scores = [said(source, asks, space) for source in sources]
    for row, own in enumerate(found):
        wanted = loop(
            [of_source[row] for of_source in scores],
            {*gone.tolist(), *asks.seen[row].tolist()},
            depth,
            allowed[row],
            [name in chosen[row] for name in SOURCES],
            [{*getattr(source, "alike", np.zeros(0, int)).tolist()} for source in sources],
        )
        assert own.rows.tolist() == wanted.rows.tolist()
        np.testing.assert_allclose(own.scores, wanted.scores, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(own.tops, wanted.tops, rtol=1e-5, atol=1e-5)
    assert len(asks.seen[0]) > 5
    assert not set(asks.seen[0].tolist()) & set(found[0].rows.tolist())


def test_an_ask_is_answered_alike_in_company_and_alone(shop: Snapshot, asks: Asks) -> None:
    depths = [50, 250, 7, 120, 50]
    together = list(find_candidates(shop.path.sources, asks, shop.space, depths))
    for row, (found, depth) in enumerate(zip(together, depths, strict=True)):
        some = slice(row, row + 1)
        alone = next(find_candidates(shop.path.sources, asks.part(some), shop.space, depth))
        assert alone.rows.tolist() == found.rows.tolist()
        np.testing.assert_allclose(alone.scores, found.scores, atol=1e-6)
        np.testing.assert_allclose(alone.tops, found.tops, atol=1e-6)


def test_what_is_kept_between_asks_follows_what_is_gone(shop: Snapshot, asks: Asks) -> None:
    common, one = CommonScores(), asks.part(slice(0, 1))
    first = next(find_candidates(shop.path.sources, one, shop.space, 50)).rows[:5]
    for gone in (first, first[:0], first[2:], first):
        kept, anew = (
            next(find_candidates(shop.path.sources, one, shop.space, 50, gone=gone, common=known))
            for known in (common, None)
        )
        assert kept.rows.tolist() == anew.rows.tolist()
        np.testing.assert_array_equal(kept.scores, anew.scores)
        np.testing.assert_array_equal(kept.tops, anew.tops)
        assert not set(gone.tolist()) & set(kept.rows.tolist())


def arrivals_of(shop: Snapshot, sold: Sequence[int]) -> ArrivalsSource:
    """The source of new arrivals, where the rows ``sold`` alone have a first event, a day each."""
    table, space = shop.path.builder.table, shop.space
    first = np.full_like(table.events.first_ms, np.iinfo(np.int64).max)
    for day, row in enumerate(sold):
        first[table.row_of[space.ids[row]]] = AT - (1 + day) * 86_400_000
    table = replace(table, events=replace(table.events, first_ms=first))
    return ArrivalsSource(table, table.rows(space.ids))


@pytest.mark.parametrize("filtered", [False, True])
def test_most_new_arrivals_are_unsold_ones_that_the_user_tower_likes(
    shop: Snapshot, asks: Asks, filtered: bool
) -> None:
    some, depth = asks.part(slice(2, 3)), 20
    unseen = np.setdiff1d(np.arange(len(shop.space)), some.seen[0])
    sold = unseen[[150, 20, 90]].tolist()
    source, tower = arrivals_of(shop, sold), shop.path.sources[0]
    allowed = np.ones(len(shop.space), bool)
    if filtered:
        allowed[[sold.pop(1), *unseen[100:140]]] = False
    found = next(
        find_candidates(
            [tower, source], some, shop.space, depth, chosen=[["new_arrivals"]],
            allowed=[allowed] if filtered else None,
        )
    )  # fmt: skip
    likes = said(tower, some, shop.space)[0].astype(np.float32)
    left = np.setdiff1d(np.flatnonzero(allowed), [*sold, *some.seen[0].tolist()])
    best = left[ranked(likes[left], left)][: depth - len(sold)]
    assert set(found.rows.tolist()) == {*sold, *best.tolist()}
    assert (found.scores[np.isin(found.rows, best), 1] == 1).all()
    many = arrivals_of(shop, unseen[:160:2].tolist())
    found = next(find_candidates([tower, many], some, shop.space, depth, chosen=[["new_arrivals"]]))
    assert set(unseen[:10:2]) == set(found.rows[found.scores[:, 1] < 1])  # the latest


def test_of_items_that_score_alike_the_first_rows_are_candidates(
    shop: Snapshot, asks: Asks
) -> None:
    """A real shop has tens of thousands of items that nobody has bought: all are as new."""
    source = arrivals_of(shop, sold=[])
    for depth in (3, 40, 100, 200):
        for found in find_candidates([source], asks, shop.space, depth):
            left = np.setdiff1d(np.arange(len(shop.space)), found.rows)
            unseen = [row for row in left if row < found.rows.max()]
            assert len(found.rows) == depth
            assert set(unseen) <= {row for seen in asks.seen for row in seen.tolist()}


def test_a_shop_without_anything_to_say_has_no_candidates(shop: Snapshot, asks: Asks) -> None:
    everything = np.arange(len(shop.space))
    for found in find_candidates(shop.path.sources, asks, shop.space, 10, gone=everything):
        assert len(found.rows) == 0
        assert np.isnan(found.tops).all()
    for ordered in shop.path.answer(asks, 10, gone=everything):
        assert len(ordered.rows) == len(ordered.scores) == 0


@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize("scenario", ["with_text", "without_text", "review_text"])
def test_the_service_answers_what_was_measured(
    shop: Snapshot, encoder: TextEncoder, settings: Settings, scenario: str, hides: bool
) -> None:
    """Same items, same scores: an event of the past, and a shopper who asks at that moment.

    What is never shown sets no scale, and leaves its place to the next ones.
    """
    if hides:
        hidden = shop.catalogue.hidden.copy()
        hidden[: len(shop.space) : 3] = True
        shop = replace(shop, catalogue=replace(shop.catalogue, hidden=hidden))
    path, frames = shop.path, frames_of(Size())
    reviews = frames.reviews.with_columns(
        text=pl.lit("a gentle rose soap for ") + pl.col("parent_asin")
    )
    events = asked_events(
        split_events(reviews, "test", settings),
        reviews,
        scenario,  # type: ignore[arg-type]
        settings.evaluation.min_query_chars,
    )[:25]
    assert events.height == 25
    texts = context_vectors(encoder, events["context"])
    # The offline shelf has a space of its own, without room for items to come.
    items = path.tower.items
    known = np.flatnonzero(shop.space.has_text)
    vectors = Vectors([shop.space.ids[row] for row in known], shop.space.texts(known))
    space = ItemSpace.of(items, vectors, spare=0)
    table = path.builder.table
    sources = sources_of(space, path.tower, path.words, table)
    shelf = Shelf(space, path.tower, sources, table, False)
    gone = np.flatnonzero(shop.catalogue.hidden[: len(space)])
    lists = split_lists(
        shelf,
        events,
        reviews,
        frames.profiles,
        texts,
        scenario,  # type: ignore[arg-type]
        100,
        gone=gone,
    )
    queries = queries_of(lists, {scenario: events}, frames.profiles)  # type: ignore[dict-item]
    hits = hits_of(lists, events)
    kinds = [kind_of(query.context, table, False) for query in queries]
    learned = probabilities(path.models, path.builder, queries, lists)
    offline = ordered_lists(lists, kinds, hits, path.orders, learned, 10, path.models)
    requests = [
        RecommendRequest(user_id=row["user_id"], at=row["timestamp"], context=row["context"])
        for row in events.iter_rows(named=True)
    ]
    answers = recommend(shop, requests, settings.serve)
    for row, answer in zip(offline.iter_rows(named=True), answers, strict=True):
        assert [item["parent_asin"] for item in answer["items"]] == row["parent_asin"]
        scores = [item["score"] for item in answer["items"]]
        np.testing.assert_allclose(scores, row["score"], atol=1e-5)
        assert answer["order"] == row["order"]
        if answer["order"] == "reranked":
            chances = [item["probability"] for item in answer["items"]]
            np.testing.assert_allclose(chances, row["probability"], atol=1e-5)
