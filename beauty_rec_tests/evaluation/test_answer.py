"""The answer as served beside its parts, and what is refused."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation.answer import (
    BLOCKS,
    VERSUS,
    WorseThanItsParts,
    answer_ranks,
    answer_sections,
    ranking_document,
    refuse_worse_than_parts,
)
from beauty_rec.evaluation.block import with_reranker
from beauty_rec.evaluation.recommendation import SIMPLE
from beauty_rec.measures.metrics import log_loss, ndcg_at
from beauty_rec.recommender.fit.orders import Labelled, fit_orders
from beauty_rec.recommender.offline.ordering import ordered_lists
from beauty_rec.recommender.orders import Kind, Orders
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.settings import EvaluationSettings
from beauty_rec_tests.recommender.drawn_lists import drawn_lists, hits_by

ASKS = 400
MEASURED = EvaluationSettings(bootstrap_samples=200)


def answers(**ranks: np.ndarray) -> pl.DataFrame:
    """Ranks by order; infinity where an order has no answer."""
    columns = {f"rank_{name}": pl.Series(own) for name, own in ranks.items()}
    names = {
        "review_id": [f"r{row}" for row in range(ASKS)],
        "scenario": ["with_text"] * ASKS,
        "kind": ["occasion"] * ASKS,
        "order": ["fused"] * ASKS,
    }
    found = pl.DataFrame({**names, **columns})
    return found.with_columns(
        pl.when(column.is_finite()).then(column).alias(name)
        for name in columns
        for column in (pl.col(name),)
    )


EVENTS = pl.DataFrame(
    {
        "review_id": [f"r{row}" for row in reversed(range(ASKS))],
        "parent_asin": [f"i{row % 5}" for row in range(ASKS)],
        "user_id": [f"u{row // 3}" for row in range(ASKS)],
        "cold": [row % 4 == 0 for row in range(ASKS)],
    }
)


def sections(plain: dict[str, np.ndarray] | None = None, **ranks: np.ndarray) -> dict[Any, Any]:
    frame = answers(**ranks)
    baselines = {"with_text": frame.select("review_id").with_columns(**(plain or {}))}
    in_train = pl.Series(["i0", "i1"])
    return answer_sections(frame, EVENTS, in_train, MEASURED, baselines)  # type: ignore[arg-type]


def drawn(seed: int, best: int = 1, worst: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(best, worst, ASKS).astype(np.float64)


def test_blocks_hold_every_order_by_its_name_and_the_groups() -> None:
    tower = drawn(1)
    tower[:100] = np.inf
    found = sections(user_tower=tower, text_retriever=drawn(2), served=drawn(3))["with_text"]
    assert set(found) == {"user_tower", "search", "served"}
    assert found["user_tower"]["ndcg@10"] == pytest.approx(ndcg_at(tower).mean())
    assert found["user_tower"]["queries"] == ASKS
    for group, share in (("cold", 0.25), ("warm", 0.75), ("in_train", 0.4)):
        assert found["served"][group]["share"] == pytest.approx(share)
    assert set(found["served"]["versus"]) == {"user_tower", "search"}
    assert set(VERSUS["served"]) == {*BLOCKS.values(), *SIMPLE}
    missing = answer_ranks(answers(user_tower=np.full(ASKS, np.inf)))
    assert missing == {}  # null everywhere: it was not asked


def test_a_part_that_was_asked_and_never_had_the_answer_is_measured() -> None:
    """Its figures are 0, and what is served is held against it; what is never asked has none."""
    lists = drawn_lists(60, 9, 3)
    scores, places = lists.scores.copy(), {name: SOURCES.index(name) for name in SOURCES}
    hits = hits_by(lists, places["popular"], 0.5, 3)
    scores[:, places["lexical"]] = np.nan
    scores[hits, places["item_to_item"]] = np.nan
    events = pl.DataFrame(
        {"review_id": lists.review_ids, "user_id": lists.review_ids, "cold": False}
    )
    events = events.with_columns(parent_asin=pl.lit("i0"))

    def measured(kind: Kind, found: np.ndarray) -> dict[str, Any]:
        told = replace(lists, scores=found)
        frame = ordered_lists(told, [kind] * 60, hits, Orders.plain(), {}, 9, {})
        return answer_sections(frame, events, pl.Series(["i0"]), MEASURED)["with_text"]

    by_text = measured("text", scores)
    for part in ("lexical", "item_to_item"):
        assert by_text[part]["recall@100"] == 0
        assert by_text[part]["intervals"]["recall@100"][1] > 0.05
        assert by_text["served"]["versus"][part]["ndcg@10"]["difference"] > 0
    never = {"search", "lexical", "titles", "hybrid"}
    assert not never & {*measured("nothing", scores)}
    of_train = scores.copy()  # whose texts are not asked
    of_train[:, [places[name] for name in ("text_retriever", "lexical", "titles")]] = np.nan
    assert not never & {*measured("occasion", of_train)}
    assert {"popular", "item_to_item"} <= {*measured("occasion", of_train)}


def test_what_loses_to_one_of_its_parts_is_refused() -> None:
    good = drawn(1, 1, 12)
    worse = sections(user_tower=good, popular=drawn(2), served=good + 3)
    with pytest.raises(WorseThanItsParts, match="with_text: user_tower has NDCG@10"):
        refuse_worse_than_parts(worse)
    refuse_worse_than_parts(sections(user_tower=good + 3, served=good))
    refuse_worse_than_parts(sections(user_tower=good, served=good))
    refuse_worse_than_parts({"with_text": {}})
    lucky = worse["with_text"]["served"]["versus"]["user_tower"]["ndcg@10"]
    lucky["p"] = 0.03  # of the four that it is held against one is so lucky every eighth time
    refuse_worse_than_parts(worse)


def test_what_loses_to_plain_popularity_is_refused_where_an_order_reaches_it() -> None:
    def first(start: int, stop: int) -> np.ndarray:
        asks = np.arange(ASKS)
        return np.where((asks >= start) & (asks < stop), 1.0, np.inf)

    served, sold, popular = first(0, 40), first(0, 61), first(300, 361)
    refuse_worse_than_parts(sections(popular=popular, served=served))  # that may be luck
    reached = sections({"recent_popularity": sold}, popular=popular, served=served)
    assert reached["with_text"]["recent_popularity"]["recall@1"] == pytest.approx(61 / ASKS)
    wanted = "with_text: recent_popularity has NDCG@10 0.15.* served 0.1000 .*--select user_cand"
    with pytest.raises(WorseThanItsParts, match=wanted):
        refuse_worse_than_parts(reached)
    # Nothing that could be chosen anew is as good, or is such an order: of that the checks warn.
    refuse_worse_than_parts(sections({"popularity": sold}, user_tower=served, served=served))
    refuse_worse_than_parts(sections({"item_cf": sold}, popular=popular, served=served))


def test_what_is_chance_is_allowed() -> None:
    good = drawn(1, 1, 30)
    noise = good.copy()
    noise[np.flatnonzero(good < 6)[:2]] += 2
    near = sections(user_tower=good, served=noise)
    assert near["with_text"]["served"]["versus"]["user_tower"]["ndcg@10"]["difference"] < 0
    refuse_worse_than_parts(near)


def test_a_text_is_not_refused_for_weights_that_were_searched_on_it() -> None:
    good = drawn(1, 1, 12)
    lists = answers(hybrid=good + 3, fused=good, served=good + 3)

    def publish(kind: str, order: str) -> None:
        rows = lists.with_columns(kind=pl.lit(kind), order=pl.lit(order))
        found = answer_sections(rows, EVENTS, pl.Series(["i0"]), MEASURED)["with_text"]
        assert found["served"]["orders"] == {kind: order}
        refuse_worse_than_parts({"with_text": found})

    publish("text", "hybrid")
    for kind, order in (("occasion", "hybrid"), ("text", "gbdt")):
        with pytest.raises(WorseThanItsParts, match="fused"):
            publish(kind, order)


def test_what_is_chosen_on_a_pool_is_not_refused_for_its_own_asks() -> None:
    """Many plain asks take what is popular, few with an occasion what is near their history."""
    kinds: list[Kind] = ["nothing"] * 2_000
    kinds += ["occasion"] * 300
    lists = drawn_lists(len(kinds), 12, 2)
    popular, near = (
        hits_by(lists, SOURCES.index(name), 0.05, 2) for name in ("popular", "item_to_item")
    )
    hits = np.where((np.array(kinds) == "occasion")[lists.ask], near, popular)
    nobody = drawn_lists(0, 0, 1)
    orders = fit_orders(
        Labelled(nobody, [], np.zeros(0, np.int64), np.zeros(0, bool), {}),
        Labelled(lists, kinds, np.arange(len(kinds)), hits, {}),
    )
    assert orders.served["nothing"] == "popular"
    assert orders.served["occasion"] == "item_to_item"
    assert "judged together" not in orders.reasons["nothing"]
    assert "judged together with nothing; on its own 300 asks" in orders.reasons["occasion"]

    def publish(orders: Orders) -> None:
        frame = ordered_lists(lists, kinds, hits, orders, {}, 10, {}).filter(kind="occasion")
        name = pl.col("review_id")
        events = frame.select(name, parent_asin=name, user_id=name, cold=False)
        refuse_worse_than_parts(
            {
                str(s): p
                for s, p in answer_sections(frame, events, frame["review_id"], MEASURED).items()
            }
        )

    publish(orders)
    with pytest.raises(WorseThanItsParts, match="item_to_item"):
        publish(replace(orders, served={**orders.served, "occasion": "popular"}))


def test_what_loses_to_plain_popularity_is_chosen_anew_and_then_published() -> None:
    """The choice looks at what publishing looks at: a refusal is not one of every night."""
    asks, kinds = 700, list[Kind](["nothing"] * 700)
    lists = drawn_lists(asks, 12, 2, scenario="without_text")
    hits = hits_by(lists, SOURCES.index("popular"), 0.6, 2)
    nobody = Labelled(drawn_lists(0, 0, 1), [], np.zeros(0, np.int64), np.zeros(0, bool), {})
    known = Labelled(lists, kinds, np.arange(asks), hits, {})
    popular = known.of_kinds(kinds, {}).gains(
        np.array([name == "popular" for name in SOURCES], np.float32)
    )
    # Of every seventh ask no candidate is the answer: plain popularity finds ten of these, too, and
    # the reranker as many in all, by other asks.
    sold = np.where(np.isin(np.arange(asks), np.arange(0, 70, 7)), 1.0, popular)
    found = np.flatnonzero(hits)[: int(sold.sum()) + 2]
    chances = np.full(len(hits), 0.5, np.float32)
    chances[hits], chances[found] = 0.1, 0.9
    learned = {"reranked": chances}
    known = replace(known, learned=learned)
    beaten = fit_orders(nobody, known)
    mended = fit_orders(nobody, replace(known, baselines={"popularity": sold}))
    assert (beaten.served["nothing"], mended.served["nothing"]) == ("popular", "reranked")
    assert "its own 700 asks popularity" in mended.reasons["nothing"]
    unasked = replace(known, baselines={"context_popularity": np.where(popular > 0, np.nan, sold)})
    assert fit_orders(nobody, unasked).served == beaten.served

    def publish(orders: Orders) -> None:
        models: Any = {"reranked": SimpleNamespace(calibrated=lambda p: p)}
        frame = ordered_lists(lists, kinds, hits, orders, learned, 10, models)
        name = pl.col("review_id")
        events = frame.select(name, parent_asin=name, user_id=name, cold=False)
        ranks = frame["rank_popular"].fill_null(np.inf).to_numpy().copy()
        ranks[0:70:7] = 1.0
        plain: Any = {"without_text": frame.select(name, popularity=pl.Series(ranks))}
        found = answer_sections(frame, events, frame["review_id"], MEASURED, plain)
        refuse_worse_than_parts({str(scenario): part for scenario, part in found.items()})

    publish(mended)
    with pytest.raises(WorseThanItsParts, match="without_text: popularity has NDCG@10"):
        publish(beaten)


def test_each_list_is_looked_at_under_its_own_name() -> None:
    items = Vectors([f"i{row}" for row in range(5)], np.eye(5, dtype=np.float32))
    reviews = pl.DataFrame(
        {
            "review_id": ["t0", "t1"],
            "user_id": ["x", "x"],
            "parent_asin": ["i0", "i1"],
            "timestamp": [0, 1],
            "rating": [5.0, 5.0],
            "split": ["train", "train"],
        }
    ).with_columns(context=pl.lit(None, dtype=pl.String))
    events = EVENTS.with_columns(
        context=pl.lit(None, dtype=pl.String), seen=pl.lit([]), history=pl.lit([])
    ).cast({"seen": pl.List(pl.String), "history": pl.List(pl.String)})
    lists = answers(user_tower=drawn(1), reranked=drawn(2), served=np.full(ASKS, np.inf))
    lists = lists.with_columns(
        scenario=pl.lit("without_text"),
        parent_asin=pl.lit([f"i{row}" for row in range(4)]),
        probability=pl.lit(None, dtype=pl.List(pl.Float32)),
        top_user_tower=pl.lit(["i0", "i1"]),
        top_reranked=pl.lit(["i2"]),
    )
    labels = np.arange(6) % 3 == 0
    chances = np.array([0.9, 0.2, 0.3, 0.4, 0.5, 0.1], np.float32)
    lists = with_reranker(lists, labels, chances)
    document = ranking_document(lists, events, reviews, items, MEASURED)
    # Of every candidate, also of those that no list holds.
    assert document["reranker"] == {
        "auc": pytest.approx(7 / 8),
        "log_loss": pytest.approx(log_loss(labels, chances)),
        "examples": 6,
        "positives": 2,
    }
    nobody = ranking_document(lists.clear(), events.clear(), reviews, items, MEASURED)
    assert nobody["reranker"] == {"auc": None, "log_loss": None, "examples": 0, "positives": 0}
    section = document["recommendation"]
    covered = {
        name: section[name]["beyond_accuracy"]["coverage@10"] for name in ("user_tower", "reranked")
    }
    assert covered == {"user_tower": pytest.approx(0.4), "reranked": pytest.approx(0.2)}
    answer = document["answer"]["without_text"]
    # Nobody is told an occasion there.
    assert {*SIMPLE} - {*answer} == {"context_popularity"}
    assert {*answer["served"]["versus"]} == {*answer} - {"served"}
    of_train = ranking_document(lists, events, reviews, items, MEASURED, held_out=False)
    blocks = [*of_train["recommendation"].values(), *of_train["answer"]["without_text"].values()]
    assert not any("versus" in block for block in blocks)
    assert of_train["recommendation"]["item_cf"]["ndcg@10"] == section["item_cf"]["ndcg@10"]
    assert answer["popularity"]["ndcg@10"] == pytest.approx(section["popularity"]["ndcg@10"])
    served = answer["served"]
    assert served["beyond_accuracy"]["coverage@10"] == pytest.approx(0.8)
    assert served["recall@100"] == 0.0  # measured, though it found nothing
