"""A shop too small to learn from still has an answer."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.evaluation.block import with_reranker
from beauty_rec.ranking.apply import load_rankers
from beauty_rec.ranking.features.build import Query
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.recommender.fit.reranking import _judged, fit_reranking
from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.offline.ordering import order_split
from beauty_rec.recommender.offline.split_asks import SplitAsks
from beauty_rec.recommender.orders import LEARNED, Orders
from beauty_rec_tests.ranking import small_shop as shop
from beauty_rec_tests.recommender.drawn_lists import drawn_lists


def _asks(count: int, seed: int, answer: str) -> SplitAsks:
    """Asks of nothing with five candidates each; all took ``answer``."""
    lists = drawn_lists(count, 5, seed, scenario="without_text")
    events = pl.DataFrame(
        {
            "review_id": lists.review_ids,
            "user_id": [f"u{row % 4}" for row in range(count)],
            "parent_asin": [answer] * count,
            "timestamp": [20 * shop.DAY] * count,
            "context": [None] * count,
            "history": [["i0"]] * count,
        },
        schema_overrides={
            **dict.fromkeys(("review_id", "user_id", "parent_asin", "context"), pl.String),
            "history": pl.List(pl.String),
        },
    )
    return SplitAsks(lists, {"without_text": events}, shop.profiles())


@pytest.mark.parametrize("train", [0, 12])
@pytest.mark.parametrize("valid", [0, 40])
def test_where_no_ask_of_train_has_its_answer_a_plain_order_is_served(
    tmp_path: Path, train: int, valid: int
) -> None:
    words = shop.vocabulary()
    knowledge = ItemKnowledge(
        shop.attributes(),
        lambda moment: shop.attributes(),
        shop.items(),
        shop.reviews(),
        shop.profiles(),
        words,
        FeatureSpec.layout(words, shop.profiles(), shop.reviews(), shop.SETTINGS),
        shop.SETTINGS,
    )
    held_out = _asks(valid, 2, "i7")
    log, orders = fit_reranking(
        knowledge,
        _asks(train, 1, "an item that is no candidate"),
        [13 * shop.DAY],
        held_out,
        np.zeros((len(words), 4), np.float32),
        False,
        tmp_path,
    )
    assert log["note"] == "no ask of train has its answer among its candidates: no order is learned"
    assert log["epochs"] == []
    assert not {*LEARNED} & {*orders.weights, *orders.served.values()}
    models, builder = load_rankers(tmp_path, words)
    assert models == {}
    ordered = order_split(held_out, models, builder, Orders.load(tmp_path), False)
    assert ordered.frame["parent_asin"].list.len().to_list() == [5] * valid
    assert ordered.frame["rank_fused"].is_finite().any() == (valid > 0)
    assert ordered.frame["rank_reranked"].is_null().all()
    frame = with_reranker(ordered.frame, ordered.labels, ordered.probabilities)
    assert frame["reranker"].struct.field("examples").to_list() == [0] * valid


@pytest.mark.parametrize("texts", [0, 1, 12, 499, 500, 900])
def test_few_asks_with_an_occasion_do_not_stop_the_learning_alone(texts: int) -> None:
    """Train has asks of both kinds; from enough with an occasion on these alone are looked at."""
    plain = drawn_lists(1_000, 2, 2, scenario="without_text")
    parts = [drawn_lists(texts, 2, 1, scenario="with_text")] if texts else []
    lists = CandidateLists.joined([*parts, plain])
    lists = replace(lists, review_ids=[f"r{n}" for size in (texts, 1_000) for n in range(size)])
    queries = [
        Query(0, [], "gym" if scenario == "with_text" else None, {}) for scenario in lists.scenarios
    ]
    hits = np.zeros(len(lists.ask), bool)
    valid: Any = SimpleNamespace(lists=lists, hits=lambda: hits)
    judged = _judged(valid, queries)
    asked = [query.context for query in judged.queries]
    assert asked.count("gym") == texts
    # The events with an occasion are not asked a second time without it.
    assert asked.count(None) == (0 if texts >= 500 else 1_000 - texts)
