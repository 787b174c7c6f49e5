"""Weights and the served order against brute force."""

from itertools import product

import numpy as np
import pytest

from beauty_rec.measures.metrics import ndcg_at
from beauty_rec.measures.significance import sign_flip_test
from beauty_rec.recommender.fit.champion import champion, unbeaten
from beauty_rec.recommender.fit.weights import GRID, Judged, choose_weights


def judged(seed: int, asks: int = 60, each: int = 12) -> tuple[Judged, np.ndarray]:
    """Two columns that each say a part of what is taken; the third says nothing."""
    draw = np.random.default_rng(seed)
    values = draw.random((asks * each, 3), dtype=np.float32)
    wish = values @ np.array([1.0, 0.5, 0.0], np.float32) + 0.3 * draw.random(len(values))
    hits = np.zeros((asks, each), bool)
    answered = np.arange(asks) % 5 > 0  # a fifth has its answer nowhere
    hits[answered, wish.reshape(asks, each).argmax(1)[answered]] = True
    ask = np.repeat(np.arange(asks), each)
    return Judged.of(values, ask, hits.ravel(), asks), hits


def test_ranks_and_ndcg_are_those_of_a_loop() -> None:
    draw = np.random.default_rng(0)
    values = draw.integers(0, 3, (50, 2)).astype(np.float32)  # ties
    ask, hits = np.repeat(np.arange(10), 5), np.zeros(50, bool)
    answered = [0, 1, 4, 8]
    for number in answered:
        hits[5 * number + number % 5] = True
    made = Judged.of(values, ask, hits, 10)
    weights = np.array([1.0, 0.5], np.float32)
    sums = values @ weights
    wanted = []
    for number in answered:
        own, rows = sums[5 * number + number % 5], sums[5 * number : 5 * number + 5]
        wanted.append((rows > own).sum() + ((rows == own).sum() + 1) / 2)
    assert made.ranks(weights).tolist() == wanted
    assert made.ndcg(weights) == pytest.approx(ndcg_at(np.array(wanted), 100).sum() / 10)
    gains = made.gains(weights)
    assert gains[answered].tolist() == ndcg_at(np.array(wanted)).tolist()
    assert gains.sum() == gains[answered].sum()
    nothing = Judged.of(values, ask, np.zeros(50, bool), 10)
    assert nothing.ndcg(weights) == 0.0
    assert len(nothing.ranks(weights)) == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_the_grid_is_found(seed: int) -> None:
    made, _ = judged(seed)
    names = ["a", "b", "c"]
    found, reached = choose_weights(made, names, ["a", "b"], {"a": 1.0})
    # Of every ratio that the grid has to one of the two alone.
    pairs = [pair for value in GRID for pair in ((1.0, value), (value, 1.0))]
    assert reached >= max(made.ndcg(np.array([*pair, 0], np.float32)) for pair in pairs)
    # And no other value of a single weight is better.
    for column, value in product((0, 1), GRID):
        moved = np.array([found.get("a", 0), found.get("b", 0), 0], np.float32)
        moved[column] = value
        assert made.ndcg(moved) <= reached + 1e-9
    assert reached == made.ndcg(np.array([found.get(name, 0) for name in names], np.float32))
    assert "c" not in found
    # One weight alone: exactly the best of the grid, and the smallest of those.
    one, score = choose_weights(made, names, ["b"], {"a": 1.0}, alone=False)
    each = {value: made.ndcg(np.array([1, value, 0], np.float32)) for value in GRID}
    assert score == max(each.values())
    assert one.get("b", 0.0) == pytest.approx(min(v for v in GRID if each[v] == score))
    assert one["a"] == 1.0


def test_what_does_not_help_gets_no_weight() -> None:
    made, _ = judged(1)
    found, _ = choose_weights(made, ["a", "b", "c"], ["a", "b", "c"], {"a": 1.0})
    least = made.ndcg(np.array([1, 0, 0], np.float32))
    assert made.ndcg(np.array([found.get(n, 0) for n in "abc"], np.float32)) > least
    assert found.get("c", 0.0) <= min(found["a"], found["b"])


def test_the_champion_is_the_simplest_that_none_beats_beyond_chance() -> None:
    draw = np.random.default_rng(3)
    base = (draw.random(600) < 0.2).astype(np.float64)
    better = np.where(draw.random(600) < 0.1, 1.0, base)
    lucky = base.copy()
    lucky[np.flatnonzero(base == 0)[:1]] = 1.0
    assert champion({"user_tower": base, "fused": better})[0] == "fused"
    assert champion({"user_tower": base, "fused": lucky})[0] == "user_tower"
    assert champion({"user_tower": base, "fused": better, "reranked": better})[0] == "fused"
    best, why = champion({"popular": base, "user_tower": better})
    assert best == "user_tower"
    assert why == f"NDCG@10 on valid: user_tower {better.mean():.4f}"
    with pytest.raises(ValueError, match="no order"):
        champion({})


def test_one_of_several_that_is_ahead_by_what_one_alone_would_prove_is_not_served() -> None:
    """Seven asks won and none lost: p = .016; one of four is as lucky every sixteenth time."""
    base, ahead = np.zeros(600), np.zeros(600)
    ahead[:7] = 1.0
    assert 0.0125 < sign_flip_test(ahead, base) < 0.05
    gains = {"user_tower": base, "gbdt": ahead}
    assert champion(gains)[0] == unbeaten("user_tower", gains)[0] == "user_tower"
    # Plain popularity, which the served order may not lose to, is not one of them.
    sold = {"popularity": ahead}
    assert unbeaten("user_tower", gains, None, sold)[0] == "gbdt"
    ahead[:9] = 1.0
    assert champion(gains)[0] == unbeaten("user_tower", gains)[0] == "gbdt"


def test_many_asks_of_one_user_are_one_proof() -> None:
    base, better = np.zeros(600), np.zeros(600)
    better[:40] = 1.0
    assert champion({"user_tower": base, "fused": better}, np.arange(600))[0] == "fused"
    of_one = np.maximum(np.arange(600) - 39, 0)
    assert champion({"user_tower": base, "fused": better}, of_one)[0] == "user_tower"


def test_what_a_part_of_the_asks_refutes_is_not_served() -> None:
    draw = np.random.default_rng(3)
    base = (draw.random(400) < 0.2).astype(np.float64)
    popular, fused = np.maximum(base, np.arange(400) < 60), np.maximum(base, np.arange(400) < 150)
    lucky = base.copy()
    lucky[np.flatnonzero(base == 0)[:1]] = 1.0
    gains = {"user_tower": base, "popular": popular, "fused": fused, "reranked": lucky}
    best, why = unbeaten("user_tower", gains, np.arange(400))
    assert best == "fused"  # the best of those that beat it
    assert why.startswith(f"fused {fused.mean():.4f}, user_tower {base.mean():.4f} (p = 0.0")
    assert unbeaten("fused", gains) == ("fused", "")
    assert unbeaten("user_tower", {"user_tower": base, "reranked": lucky}) == ("user_tower", "")
    of_one = np.zeros(400, np.int64)  # one user proves nothing
    assert unbeaten("user_tower", gains, of_one) == ("user_tower", "")


def test_a_part_of_the_asks_is_judged_as_if_there_were_no_others() -> None:
    whole, _ = judged(3)
    weights = np.array([1, 0.5, 0], np.float32)
    some = np.arange(60) % 3 == 0
    part = whole.part(some)
    assert part.asks == 20
    np.testing.assert_array_equal(part.gains(weights), whole.gains(weights)[some])
    nobody = whole.part(np.zeros(60, bool))
    assert nobody.gains(weights).shape == (0,)
    assert choose_weights(nobody, ["a", "b", "c"], ["b"], {"a": 1.0}, alone=False)[0] == {"a": 1.0}


def test_what_loses_to_plain_popularity_gives_way_to_the_simplest_that_does_not() -> None:
    def hits(first: int, last: int) -> np.ndarray:
        return ((np.arange(400) >= first) & (np.arange(400) < last)).astype(np.float64)

    gains = {"user_tower": hits(0, 40), "popular": hits(200, 255), "fused": hits(300, 358)}
    sold = {"popularity": hits(0, 58)}
    assert unbeaten("user_tower", gains) == ("user_tower", "")  # the others may be luck
    found, why = unbeaten("user_tower", gains, np.arange(400), sold)
    assert found == "popular"
    assert why.startswith("popularity 0.1450, user_tower 0.1000 (p = 0.0")
    assert why.endswith(", popular 0.1375")
    assert unbeaten("popular", gains, None, sold) == ("popular", "")
    lost = {**gains, "popular": hits(5, 50)}  # which loses to it, too
    assert unbeaten("user_tower", lost, None, sold)[0] == "fused"
    # What no order reaches no choice can mend.
    assert unbeaten("user_tower", gains, None, {"item_cf": hits(0, 300)}) == ("user_tower", "")
    # One user proves nothing.
    assert unbeaten("user_tower", gains, np.zeros(400, np.int64), sold)[0] == "user_tower"
