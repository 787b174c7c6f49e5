"""From frames to a reranker: folds see only their past, and features are scaled as served."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import content_hash
from beauty_rec.ranking import train as recipe
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.ranking.fit import Sources, fit_reranker
from beauty_rec_tests.ranking import small_shop as shop
from beauty_rec_tests.training.kills import kill_in_call

SERVED = 3


def _events() -> pl.DataFrame:
    """Each event took the item of its fifth-best candidate; the last one took none of them."""
    taken = shop.candidates().filter(tower_rank=5).select("review_id", "parent_asin")
    events = shop.events().join(taken, on="review_id", how="left", maintain_order="left")
    last = pl.col("review_id") == "e4"
    return events.with_columns(parent_asin=pl.when(last).then(pl.lit("x")).otherwise("parent_asin"))


def _fit(target: Path, moments: list[int], checkpoints: Path | None = None) -> FeatureSpec:
    def attributes_before(moment: int) -> pl.DataFrame:
        moments.append(moment)
        return shop.attributes()

    # Scores that fall with the rank: the rank within the list is made of them.
    falling = shop.candidates().with_columns(tower_score=-pl.col("tower_rank").cast(pl.Float32))
    fit_reranker(
        Sources(
            shop.attributes(),
            attributes_before,
            shop.items(),
            shop.reviews(),
            shop.profiles(),
            shop.vocabulary(),
        ),
        [(13 * shop.DAY, _events()[:2]), (14 * shop.DAY, _events()[2:])],
        falling,
        _events(),
        falling,
        np.zeros((len(shop.vocabulary()), 4), dtype=np.float32),
        shop.SETTINGS.model_copy(update={"negatives": None, "epochs": 2, "ablation": True}),
        SERVED,
        target,
        checkpoints,
    )
    return FeatureSpec.load(target / "features.json")


def test_each_fold_reads_the_attributes_of_its_moment(tmp_path: Path) -> None:
    moments: list[int] = []
    _fit(tmp_path, moments)
    assert moments == [13 * shop.DAY, 14 * shop.DAY]


def test_statistics_are_of_the_candidates_that_a_request_has(tmp_path: Path) -> None:
    spec = _fit(tmp_path, [])
    # Of the six candidates of an answered event the three best: scores -1, -2 and -3.
    assert spec.mean[spec.raw.index("tower_score")] == pytest.approx(-2.0)
    assert spec.mean[spec.raw.index("tower_log_rank")] == pytest.approx(np.log([1, 2, 3]).mean())


@pytest.mark.parametrize("at", [2, 4])
def test_a_killed_training_goes_on_wherever_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """In the second epoch of the served reranker, and of the one without transfer."""
    _fit(tmp_path / "whole", [])
    calls = kill_in_call(monkeypatch, recipe, "_train_epoch", at)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "again", [], tmp_path / "kept")
    _fit(tmp_path / "again", [], tmp_path / "kept")
    assert len(calls) == 4 + 1, "no epoch but the killed one is done twice"
    assert content_hash(tmp_path / "again") == content_hash(tmp_path / "whole")
    assert not (tmp_path / "kept").exists()
