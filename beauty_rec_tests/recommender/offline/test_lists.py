"""Candidates of many asks: on disk, joined, in part, and in every order."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.ranking.features.build import Features
from beauty_rec.recommender.fit.orders import Labelled
from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.offline.ordering import ordered_lists
from beauty_rec.recommender.offline.split_candidates import found_shares
from beauty_rec.recommender.orders import DEFAULT, ORDERS, Kind, Orders
from beauty_rec.recommender.sources import SOURCES
from beauty_rec_tests.recommender.drawn_lists import drawn_lists, hits_by, same


@pytest.mark.parametrize("empty", [(), (0, 3, 5), (0, 1, 2, 3, 4, 5)])
def test_lists_survive_the_disk(tmp_path: Path, empty: tuple[int, ...]) -> None:
    lists = drawn_lists(6, 8, 1, empty=empty)
    frame = lists.frame()
    assert frame.height == 6
    frame.write_parquet(tmp_path / "lists.parquet")
    again = CandidateLists.from_frame(pl.scan_parquet(tmp_path / "lists.parquet"))
    assert same(again, lists)
    assert again.scenarios == ["with_text"] * 6


def test_joined_lists_are_cut_apart_again() -> None:
    first, second = drawn_lists(4, 5, 1, empty=(2,)), drawn_lists(3, 7, 2, scenario="without_text")
    both = CandidateLists.joined([first, second])
    assert len(both) == 7
    asks = np.array([scenario == "without_text" for scenario in both.scenarios])
    assert same(both.asked(asks), second)
    assert same(both.asked(~asks), first)
    np.testing.assert_array_equal(both.values, np.concatenate([first.values, second.values]))
    some = both.asked(np.array([False, True, True, False, False, False, True]))
    assert some.review_ids == ["e1-1", "e1-2", "e2-2"]
    assert np.bincount(some.ask).tolist() == [5, 0, 7]


def test_hidden_items_are_in_no_list() -> None:
    lists = drawn_lists(6, 8, 1)
    hidden = set(lists.items[::3])
    left = lists.without(hidden)
    assert not hidden & set(left.items)
    assert len(left) == len(lists)
    kept = ~lists.items.is_in(list(hidden)).to_numpy()
    np.testing.assert_array_equal(left.values, lists.values[kept])
    assert same(lists.without([]), lists)


def test_scores_are_brought_to_one_scale_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all candidates, and for those that weights are judged by."""
    lists = drawn_lists(30, 9, 5, empty=(4,))
    hits = hits_by(lists, SOURCES.index("popular"), 0.5, 3)
    chance = np.random.default_rng(1).random(len(lists.ask), dtype=np.float32)
    kinds: list[Kind] = [("nothing", "text")[ask % 2] for ask in range(30)]
    made = Labelled(lists, kinds, np.arange(30), hits, {"reranked": chance})
    values, judged = lists.values, made.of_kinds(["text"], {"reranked": 0.5})
    for module in ("offline.lists", "fit.orders"):
        monkeypatch.setattr(f"beauty_rec.recommender.{module}.ROWS_AT_ONCE", 7)
    np.testing.assert_array_equal(lists.values, values)
    again = made.of_kinds(["text"], {"reranked": 0.5})
    np.testing.assert_array_equal(again.values, judged.values)
    # Only asks of the kind whose answer is a candidate are kept, all their candidates.
    asks = np.unique(lists.ask[hits])
    kept = np.isin(lists.ask, asks[asks % 2 == 1])
    np.testing.assert_array_equal(judged.values[:, :-1], values[kept])
    np.testing.assert_allclose(judged.values[:, -1], chance[kept] / 0.5)
    assert judged.asks == 15


def test_ordered_lists_have_every_rank_of_the_answer() -> None:
    lists = drawn_lists(30, 9, 3, empty=(4,))
    kinds: list[Kind] = [("nothing", "occasion", "text")[ask % 3] for ask in range(30)]
    # Two candidates that nothing tells apart, one of them the answer of ask 1.
    scores = lists.scores.copy()
    pair = np.flatnonzero(lists.ask == 1)[:2]
    scores[pair[1]] = scores[pair[0]]
    lists = replace(lists, scores=scores)
    hits = hits_by(lists, SOURCES.index("popular"), 0.5, 3)
    hits[lists.ask == 1] = False
    hits[pair[1]] = True
    chance = np.random.default_rng(1).random(len(lists.ask), dtype=np.float32)
    orders = replace(
        Orders.plain(),
        weights={
            "hybrid": {"text": DEFAULT["text"]},
            "fused": DEFAULT,
            "reranked": {"occasion": {"reranked": 1.0}},
        },
        scales={"reranked": 0.5},
        served={"nothing": "popular", "occasion": "reranked", "text": "hybrid"},
    )
    frame = ordered_lists(
        lists, kinds, hits, orders, {"reranked": chance}, 5, {"reranked": Believed(1)}
    )
    assert frame["review_id"].to_list() == lists.review_ids
    for ask, row in enumerate(frame.iter_rows(named=True)):
        here = np.flatnonzero(lists.ask == ask)
        kind = kinds[ask]
        for order in ORDERS:
            if not orders.weights_of(order, kind):
                assert row[f"rank_{order}"] is None
                continue
            if not hits[here].any():
                assert row[f"rank_{order}"] == np.inf
                continue
            needed = {"reranked": chance[here]} if order == "reranked" else {}
            own = orders.scores(order, kind, lists.values[here], needed)
            if order in SOURCES:
                own[np.isnan(lists.scores[here, SOURCES.index(order)])] = np.nan
            answer = own[hits[here]][0]
            if np.isnan(answer):
                assert row[f"rank_{order}"] == np.inf
                continue
            level = np.isclose(own, answer, atol=1e-7, rtol=0).sum()
            assert row[f"rank_{order}"] == (own > answer + 1e-7).sum() + (level + 1) / 2
        served = orders.served[kind]
        needed = {"reranked": chance[here]} if served == "reranked" else {}
        own = orders.scores(served, kind, lists.values[here], needed)
        best = np.argsort(-own, kind="stable")[:5]
        items = [lists.items[int(at)] for at in here[best]]
        assert row["parent_asin"] == items
        assert row["score"] == pytest.approx(own[best].tolist())
        assert row["probability"] == pytest.approx(chance[here][best].tolist())
        # The same measure as its order's own: it can never lose to itself by the luck of ties.
        answer = own[hits[here]][0] if hits[here].any() else np.inf
        level = np.isclose(own, answer, atol=1e-7, rtol=0).sum()
        rank = (own > answer + 1e-7).sum() + (level + 1) / 2
        assert row["rank_served"] == (rank if np.isfinite(answer) and rank <= 5 else None)
        tower = lists.values[here, SOURCES.index("user_tower")]
        known = here[~np.isnan(tower)]
        first = known[np.argsort(-tower[~np.isnan(tower)], kind="stable")[:10]]
        assert row["top_user_tower"] == [lists.items[int(at)] for at in first]
    assert frame["rank_popular"][1] is not None
    assert frame["rank_popular"][1] % 1 == 0.5  # a tie has the place in the middle


def test_a_source_does_not_find_what_others_brought() -> None:
    """It knows four of nine candidates; an answer among the others is served all the same."""
    lists = drawn_lists(20, 9, 3)
    scores, near = lists.scores.copy(), SOURCES.index("item_to_item")
    scores[:, near] = np.where(np.arange(len(lists.ask)) % 9 < 4, 0.5, np.nan)
    lists = replace(lists, scores=scores)
    hits = np.arange(len(lists.ask)) % 9 == np.where(lists.ask < 10, 2, 7)
    orders = replace(Orders.plain(), served=dict.fromkeys(Orders.plain().served, "item_to_item"))
    frame = ordered_lists(lists, ["nothing"] * 20, hits, orders, {}, 9, {})
    assert frame["rank_item_to_item"].to_list() == [2.5] * 10 + [np.inf] * 10
    assert frame["rank_served"].to_list() == [2.5] * 10 + [7.0] * 10
    assert frame["parent_asin"].list.len().to_list() == [9] * 20


@dataclass(frozen=True)
class Believed:
    """A model of whose probabilities a share can be believed."""

    share: float

    def probabilities(self, features: Features) -> np.ndarray:
        return np.ones(len(features.raw), np.float32)

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities * np.float32(self.share)


def test_a_probability_is_that_of_the_served_order_and_calibrated() -> None:
    lists = drawn_lists(6, 5, 3)
    kinds: list[Kind] = ["occasion", "text"] * 3
    trees, deep = (np.random.default_rng(n).random(len(lists.ask), np.float32) for n in (1, 2))
    orders = replace(
        Orders.plain(),
        weights={"hybrid": {"text": DEFAULT["text"]}, "gbdt": {"occasion": {"gbdt": 1.0}}},
        served={"nothing": "popular", "occasion": "gbdt", "text": "hybrid"},
    )
    learned, hits = {"gbdt": trees, "reranked": deep}, np.zeros(len(lists.ask), bool)
    frame = ordered_lists(
        lists, kinds, hits, orders, learned, 3, {"gbdt": Believed(0.5), "reranked": Believed(1)}
    )
    for ask, row in enumerate(frame.iter_rows(named=True)):
        places = np.flatnonzero(lists.ask == ask)
        place_of = {lists.items[int(at)]: at for at in places}
        here = [place_of[item] for item in row["parent_asin"]]
        wanted = trees[here] / 2 if kinds[ask] == "occasion" else deep[here]
        assert row["probability"] == pytest.approx(wanted.tolist())


def test_shares_count_whose_answer_is_found() -> None:
    lists = drawn_lists(10, 4, 5)
    answers = pl.DataFrame(
        {
            "review_id": lists.review_ids,
            "parent_asin": [lists.items[4 * ask] if ask < 6 else "nowhere" for ask in range(10)],
        }
    )
    shares = found_shares(lists, answers)
    assert shares["with_text found"] == pytest.approx(0.6)
    said = ~np.isnan(lists.scores[[4 * ask for ask in range(6)]])
    for column, name in enumerate(SOURCES):
        assert shares[f"with_text found by {name}"] == pytest.approx(said[:, column].sum() / 10)


def test_of_items_that_are_alike_the_source_has_found_those_that_the_tower_likes() -> None:
    """120 unsold items and 20 sold ones: of the hundred places 80 are the unsold ones'."""
    columns = [SOURCES.index(name) for name in ("user_tower", "new_arrivals")]
    scores = np.full((280, len(SOURCES)), np.nan, np.float32)
    scores[:, columns[0]] = np.tile(np.arange(140) % 120, 2)
    scores[:, columns[1]] = np.tile(np.r_[np.ones(120), np.linspace(0.9, 0.5, 20)], 2)
    tops = np.full((2, len(SOURCES), 2), np.nan, np.float32)
    tops[:, columns[1]] = 1, 0.5
    names = [f"i{row}" for row in range(140)]
    lists = CandidateLists(
        ["r0", "r1"],
        ["without_text"] * 2,
        np.repeat([0, 1], 140),
        pl.Series(names * 2, dtype=pl.Categorical),
        scores,
        tops,
    )
    for answers, share in ((("i39", "i40"), 0.5), (("i119", "i139"), 1), (("i0", "i39"), 0)):
        asked = pl.DataFrame({"review_id": ["r0", "r1"], "parent_asin": answers})
        assert found_shares(lists, asked)["without_text found by new_arrivals"] == share
