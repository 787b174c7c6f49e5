"""A shop too small to learn from still has an answer."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.evaluation.block import with_reranker
from beauty_rec.ranking.apply import load_rankers
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.recommender.fit.reranking import fit_reranking
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
