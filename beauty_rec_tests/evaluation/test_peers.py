"""What peers are given and what becomes of their ranks; their own packages are not needed here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from beauty_rec.artifacts import Vectors, write_text_atomic
from beauty_rec.evaluation.popularity import Recency
from beauty_rec.evaluation.recommendation import baseline_ranks
from beauty_rec.evaluation.yardsticks import Recencies
from benchmarks.peer_models.choosing import beside_popularity, best_on_valid
from benchmarks.peer_models.exchange import (
    HELD_OUT,
    LATE,
    Asked,
    Shop,
    ranks_of,
    read_ranks,
    write_ranks,
)
from benchmarks.peers import OURS, Run, shop_of, table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A folder as a run leaves it: 600 events of 60 users with 30 items in two contexts."""
    data = tmp_path_factory.mktemp("run")
    draw = np.random.default_rng(5)
    count = 600
    users = draw.integers(0, 60, count)
    reviews = pl.DataFrame(
        {
            "review_id": [f"r{n:03}" for n in range(count)],
            "user_id": [f"u{user}" for user in users],
            "parent_asin": [f"i{int(item)}" for item in 30 * draw.random(count) ** 2],
            "timestamp": np.arange(count) * 86_400_000,
            "rating": [5.0] * count,
            "text": [""] * count,
            "context": [("party", "office", None)[user % 3] for user in users],
            "split": ["train"] * 420 + ["valid"] * 90 + ["test"] * 90,
        }
    )
    processed = data / "processed"
    (processed / "recommendations").mkdir(parents=True)
    reviews.write_parquet(processed / "split_reviews.parquet")
    profiles = pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in range(50)],
            "height_cm": [160.0 + n for n in range(50)],
            "body_type": ["pear", "apple"] * 25,
        }
    )
    profiles.write_parquet(processed / "user_profiles.parquet")
    ids = [f"i{n}" for n in range(28)]
    Vectors(ids, np.eye(28, dtype=np.float32)).save(processed / "item_vectors")
    write_text_atomic(data / "models" / "user_tower" / "folds.json", "[0]")
    for split in HELD_OUT:
        pl.DataFrame(
            [
                {"review_id": review, "scenario": scenario, "rank_served": rank}
                for review in reviews.filter(split=split)["review_id"]
                for scenario, rank in (("with_text", 3.0), ("without_text", 7.0))
            ]
        ).write_parquet(processed / "recommendations" / f"{split}.parquet")
    return Run.of(data)


def test_a_shop_read_back_is_the_shop_that_was_written(run: Run, tmp_path: Path) -> None:
    shop = shop_of(run)
    shop.write(tmp_path)
    kept = Shop.read(tmp_path)
    assert (kept.items, kept.users, kept.contexts) == (30, 60, 2)
    assert kept.recency == shop.recency
    assert_array_equal(kept.late_starts, shop.late_starts)
    assert_array_equal(kept.numbers, shop.numbers)
    for split in (*HELD_OUT, LATE):
        for name, value in vars(shop.asked[split]).items():
            assert_array_equal(getattr(kept.asked[split], name), value)


def test_peers_are_asked_what_our_stages_are_asked(run: Run) -> None:
    shop = shop_of(run)
    for split, events in run.events.items():
        asked = shop.asked[split]
        histories, seen = asked.histories(30).toarray() > 0, asked.left_out(30).toarray() > 0
        for row, event in enumerate(events.iter_rows(named=True)):
            start, end = asked.history_start[row : row + 2]
            assert [f"i{n}" for n in asked.history[start:end]] == event["history"]
            assert {f"i{n}" for n in np.flatnonzero(seen[row])} == set(event["seen"])
            assert f"i{asked.answer[row]}" == event["parent_asin"]
            assert (histories[row] <= seen[row]).all()


def test_late_parts_of_train_are_asked_by_what_was_known_at_their_start(run: Run) -> None:
    shop = shop_of(run)
    late, first = shop.asked[LATE], int(shop.late_starts[0])
    assert late.time_ms.min() >= first
    assert late.time_ms.max() <= shop.time_ms.max()
    assert 0 < len(shop.before(first).item) < len(shop.item)
    assert shop.before(first).time_ms.max() < first
    end = int(shop.late_starts[1])
    rows = np.flatnonzero(late.time_ms < end)
    part = late.between(first, end)
    assert_array_equal(part.answer, late.answer[rows])
    assert_array_equal(part.histories(30).toarray(), late.histories(30).toarray()[rows])
    assert_array_equal(part.left_out(30).toarray(), late.left_out(30).toarray()[rows])


@pytest.mark.parametrize("recency", [Recency(share=0.25), Recency(half_life_days=60)])
def test_popularity_that_peers_fall_back_on_ranks_like_our_yardstick(
    run: Run, recency: Recency
) -> None:
    shop = replace(shop_of(run), recency=recency)
    for split, events in run.events.items():
        ours = baseline_ranks(events, run.reviews, run.ids, Recencies(recency, recency))
        theirs = ranks_of(shop, shop.popularity(), split)
        # An item that train lacks stands behind all others, tied, in both.
        assert_allclose(theirs, ours["context_popularity"])


def test_ties_share_their_mean_rank_and_unknown_items_stand_last(run: Run) -> None:
    shop = shop_of(run)
    sold, asked = shop.sold, shop.asked["test"]
    ranks = ranks_of(
        shop, lambda asked, rows: np.ones((len(asked.answer[rows]), 30), np.float32), "test"
    )
    seen = asked.left_out(30).toarray() > 0
    known, unknown = (~seen & sold).sum(axis=1), (~seen & ~sold).sum(axis=1)
    expected = np.where(sold[asked.answer], (known + 1) / 2, known + (unknown + 1) / 2)
    assert_allclose(ranks, expected)


def test_whoever_has_no_history_gets_popularity_and_valid_alone_chooses(run: Run) -> None:
    shop = shop_of(run)

    def oracle(asked: Asked, rows: slice) -> np.ndarray:
        assert asked is shop.asked["valid"], "a choice may look at valid alone"
        warm = np.diff(asked.history_start)[rows] > 0
        return (np.arange(30) == asked.answer[rows][:, None]).astype(np.float32) * warm[:, None]

    forms = list(beside_popularity(shop, oracle, {"factors": 8}))
    scores, choice = best_on_valid(shop, forms)
    assert choice == {"factors": 8, "popularity": 0.0}
    warm = np.diff(shop.asked["valid"].history_start) > 0
    ranks = ranks_of(shop, scores, "valid")
    assert (ranks[warm] == 1).all()
    assert_allclose(ranks[~warm], ranks_of(shop, shop.popularity(), "valid")[~warm])


def test_ranks_come_back_with_the_choice_and_stand_beside_what_is_served(
    run: Run, tmp_path: Path
) -> None:
    served = {split: run.served(split) for split in HELD_OUT}
    with_context = run.events["valid"]["context"].is_not_null()
    assert with_context.any()
    assert served["valid"].tolist() == [3.0] * run.events["valid"].height
    worse = {split: ranks + 9 for split, ranks in served.items()}
    write_ranks(tmp_path / "ranks.npz", worse, {"epochs": 3})
    kept, choice = read_ranks(tmp_path / "ranks.npz")
    assert choice == {"epochs": 3}
    users = np.arange(len(kept["valid"]))
    lines = list(table("valid", {OURS: served["valid"], "peer": kept["valid"]}, users, users > 4))
    assert "| what is served | 1.0000 | 1.0000 |" in lines[-2]
    assert lines[-1].startswith("| peer | 0.0000 (p 0.000) | 1.0000 (×1.00, p 1.000) |")
