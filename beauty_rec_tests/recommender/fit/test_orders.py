"""What is served: for each kind of ask the order that valid finds best."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beauty_rec.recommender.fit.orders import ENOUGH_TO_JUDGE, Labelled, fit_orders
from beauty_rec.recommender.orders import DEFAULT, KINDS, ORDERS, Kind, Orders
from beauty_rec.recommender.sources import SOURCES
from beauty_rec_tests.recommender.drawn_lists import drawn_lists, hits_by

POPULAR, LEXICAL = SOURCES.index("popular"), SOURCES.index("lexical")


def labelled(
    kinds: Sequence[Kind],
    seed: int,
    column: int = POPULAR,
    noise: float = 0.3,
    learns: float | None = None,
) -> Labelled:
    """Asks that take what a source has first; the reranker knows it, with so much noise."""
    lists = drawn_lists(len(kinds), 12, seed)
    hits = hits_by(lists, column, noise, seed)
    learned = {}
    if learns is not None:
        draw = np.random.default_rng(seed + 1)
        chance = 0.9 * hits + learns * draw.random(len(hits))
        learned["reranked"] = (chance / (1 + chance)).astype(np.float32)
    return Labelled(lists, list(kinds), np.arange(len(kinds)), hits, learned)


ENOUGH = [kind for kind in KINDS for _ in range(ENOUGH_TO_JUDGE)]


def test_the_best_order_on_valid_is_served() -> None:
    orders = fit_orders(labelled(ENOUGH, 1), labelled(ENOUGH, 2, learns=5.0))
    for kind in KINDS:
        measured = orders.measured[kind]
        assert measured[orders.served[kind]] >= 0.97 * max(measured.values())
        assert orders.reasons[kind].startswith("NDCG@10 on valid")
        assert set(measured) <= set(ORDERS)
    # Popularity decides here, and a reranker that knows little of it is not served.
    assert orders.served["nothing"] in ("popular", "fused")
    assert orders.measured["nothing"]["reranked"] < orders.measured["nothing"]["popular"]
    assert orders.weights["fused"]["nothing"]["popular"] > 0
    # A text cannot order what asks with nothing.
    assert "lexical" not in orders.measured["nothing"]
    assert "lexical" in orders.measured["occasion"]


def test_a_learned_order_is_served_where_it_is_better() -> None:
    orders = fit_orders(labelled(ENOUGH, 1), labelled(ENOUGH, 2, learns=0.1, noise=2.0))
    assert orders.served["nothing"] == orders.served["occasion"] == "reranked"
    assert orders.needs("reranked", "nothing") == ["reranked"]


def test_texts_are_weighed_on_valid_alone() -> None:
    """In train an item's text holds what its buyers wrote."""
    train = labelled(ENOUGH, 1, column=LEXICAL, noise=0.0)
    valid = labelled(ENOUGH, 2, noise=0.2)
    orders = fit_orders(train, valid)
    for kind in ("nothing", "occasion"):
        assert not {"lexical", "text_retriever"} & orders.weights["fused"][kind].keys()
    again = fit_orders(labelled(ENOUGH, 7), valid)
    assert again.weights["hybrid"]["text"] == orders.weights["hybrid"]["text"]
    assert again.weights["fused"]["text"] == orders.weights["fused"]["text"]
    # Reviews cannot tell what a title is worth to a few typed words: it keeps its least weight.
    for order in ("hybrid", "fused"):
        assert orders.weights[order]["text"]["titles"] >= 0.35


def test_kinds_with_few_asks_are_judged_together() -> None:
    asks: dict[Kind, int] = {"nothing": 200, "occasion": 250, "text": 300}
    few = [kind for kind, times in asks.items() for _ in range(times)]
    orders = fit_orders(labelled(few, 1), labelled(few, 2))
    for order in SOURCES:
        if order in orders.measured["nothing"]:
            assert orders.measured["nothing"][order] == orders.measured["occasion"][order]
    assert orders.weights["fused"]["nothing"] == orders.weights["fused"]["occasion"]
    assert orders.served["nothing"] == orders.served["occasion"]
    text = labelled(few, 2).of_kinds(["text"], {})
    weights = np.array([name == "popular" for name in SOURCES], dtype=np.float32)
    assert orders.measured["text"]["popular"] == pytest.approx(text.ndcg(weights))


def test_without_asks_the_defaults_are_served(tmp_path: Path) -> None:
    orders = fit_orders(labelled([], 1), labelled([], 1, learns=1.0))
    plain = Orders.plain()
    assert orders.served == plain.served
    assert orders.weights["fused"] == DEFAULT
    assert orders.measured == {kind: {} for kind in KINDS}
    orders.save(tmp_path)
    assert Orders.load(tmp_path) == orders


def test_orders_score_as_their_weights_say(tmp_path: Path) -> None:
    orders = replace(
        Orders.plain(),
        weights={"reranked": {"text": {"lexical": 0.5, "reranked": 2.0}}, "fused": DEFAULT},
        scales={"reranked": 0.25},
    )
    orders.save(tmp_path)
    lists = drawn_lists(3, 5, 4)
    chance = np.linspace(0, 0.5, len(lists.ask), dtype=np.float32)
    found = Orders.load(tmp_path).scores("reranked", "text", lists.values, {"reranked": chance})
    np.testing.assert_allclose(found, 0.5 * lists.values[:, LEXICAL] + 8 * chance, atol=1e-5)
    single = orders.scores("popular", "text", lists.values, {})
    np.testing.assert_array_equal(single, lists.values[:, POPULAR])
    assert orders.weights_of("lexical", "nothing") == {}
    assert orders.needs("fused", "text") == []


def test_what_is_ahead_by_its_search_alone_is_not_served() -> None:
    """Words alone know the answers: any other weight is a fit to these asks, p = .02 on them."""
    asks = labelled(["text"] * 240, 9, column=LEXICAL, noise=2.0)
    orders = fit_orders(labelled([], 1), asks)
    assert orders.served["text"] == "lexical"
    assert "weights of the other half" in orders.reasons["text"]
    assert orders.weights["fused"]["text"].keys() > {"lexical"}, "of all asks, for whoever asks"


def test_weights_are_searched_where_each_half_of_the_users_has_answers_enough() -> None:
    for count, searched in ((190, False), (240, True)):
        orders = fit_orders(labelled([], 1), labelled(["text"] * count, 9))
        assert ("weights of the other half" in orders.reasons["text"]) is searched
        assert (orders.weights["fused"]["text"] != DEFAULT["text"]) is searched
    asks = labelled(["text"] * 240, 9)
    of_one = fit_orders(labelled([], 1), replace(asks, users=np.maximum(asks.users, 180)))
    assert "weights of the other half" not in of_one.reasons["text"]
