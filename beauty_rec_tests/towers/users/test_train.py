import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from beauty_rec.artifacts import Vectors, content_hash
from beauty_rec.search.ranks import answer_ranks
from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.inputs import Requests, plain_requests
from beauty_rec.towers.users.served import ServedUserTower
from beauty_rec.towers.users.train import recipe
from beauty_rec.towers.users.train.data import UserTowerData, user_tower_data
from beauty_rec.towers.users.train.recipe import train_user_tower
from beauty_rec.towers.users.train.validation import draw_rows
from beauty_rec_tests.towers.conftest import Load
from beauty_rec_tests.training.kills import kill_in_call


def asks(
    served: ServedUserTower, past: list[tuple[int, float, float]], context: np.ndarray | None
) -> Requests:
    now = served.as_of_ms
    return plain_requests([past], [context], [{}], served.profiles, [now], now, 5)


def recall(served: ServedUserTower, data: UserTowerData, **kwargs: object) -> float:
    known = served.knowledge(data.events, data.context_vectors, data.profiles)
    vectors = served.user_vectors(known.requests(data.valid, served.as_of_ms), **kwargs)  # type: ignore[arg-type]
    seen = [data.events.seen(row) for row in data.valid]
    answers = data.events.item[data.valid]
    ranks = answer_ranks(vectors, served.items.matrix, seen, answers)
    new = [answer not in items for answer, items in zip(answers, seen, strict=True)]
    return float((ranks[new] <= 10).mean())


def test_it_learns_the_planted_taste_and_needs_the_context_for_it(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path, load: Load
) -> None:
    settings = small.model_copy(update={"epochs": 8, "patience": 8})
    log = train_user_tower(data, settings, tmp_path / "t")
    served = load(tmp_path / "t", data)
    untrained = small.model_copy(update={"epochs": 0})
    train_user_tower(data, untrained, tmp_path / "popular")
    popularity = recall(load(tmp_path / "popular", data), data)
    assert recall(served, data) > popularity + 0.1
    assert recall(served, data) > recall(served, data, without=(False, True, False)) + 0.1
    best = max(e["valid_recall@10"] for e in log["epochs"])
    assert log["epochs"][log["best_epoch"] - 1]["valid_recall@10"] == best


def test_item_vectors_stay_frozen(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path, load: Load
) -> None:
    before = data.item_vectors.matrix.tobytes()
    train_user_tower(data, small, tmp_path / "t")
    kept = load(tmp_path / "t", data).items
    assert data.item_vectors.matrix.tobytes() == before
    assert np.ascontiguousarray(kept.matrix[:, : kept.tower]).tobytes() == before
    assert kept.ids == data.item_vectors.ids


def test_resumed_is_as_uninterrupted(
    data: UserTowerData,
    small: UserTowerSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = small.model_copy(update={"epochs": 3, "patience": 3})
    whole = train_user_tower(data, settings, tmp_path / "whole")
    calls = kill_in_call(monkeypatch, recipe, "_train_epoch", 2)
    with pytest.raises(KeyboardInterrupt):
        train_user_tower(data, settings, tmp_path / "again", tmp_path / "kept")
    resumed = train_user_tower(data, settings, tmp_path / "again", tmp_path / "kept")
    assert len(calls) == 4
    assert [e["loss"] for e in resumed["epochs"]] == [e["loss"] for e in whole["epochs"]]
    assert content_hash(tmp_path / "whole") == content_hash(tmp_path / "again")


def test_checkpoints_of_other_settings_are_not_used(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path
) -> None:
    train_user_tower(data, small, tmp_path / "t", tmp_path / "kept")
    other = small.model_copy(update={"learning_rate": 1e-3})
    resumed = train_user_tower(data, other, tmp_path / "t", tmp_path / "kept")
    fresh = train_user_tower(data, other, tmp_path / "u")
    assert [e["loss"] for e in resumed["epochs"]] == [e["loss"] for e in fresh["epochs"]]


def test_checkpoints_that_other_events_judged_are_not_used(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path
) -> None:
    train_user_tower(data, small, tmp_path / "t", tmp_path / "kept")
    fewer = replace(data, valid=data.valid[: len(data.valid) // 2])
    resumed = train_user_tower(fewer, small, tmp_path / "t", tmp_path / "kept")
    fresh = train_user_tower(fewer, small, tmp_path / "u")
    judged = f"valid_recall@{small.candidates}"
    assert [e[judged] for e in resumed["epochs"]] == [e[judged] for e in fresh["epochs"]]


@pytest.mark.parametrize("what", ["contexts", "profiles", "ratings"])
def test_checkpoints_of_other_data_are_not_used(
    what: str, data: UserTowerData, small: UserTowerSettings, tmp_path: Path
) -> None:
    train_user_tower(data, small, tmp_path / "t", tmp_path / "kept")
    words, events = data.context_vectors, data.events
    now = {
        "contexts": replace(data, context_vectors=Vectors(words.ids, words.matrix[::-1].copy())),
        "profiles": replace(data, profiles=data.profiles.with_columns(pl.col("height_cm") * 1.5)),
        "ratings": replace(data, events=replace(events, rating=6 - events.rating)),
    }[what]
    resumed = train_user_tower(now, small, tmp_path / "t", tmp_path / "kept")
    fresh = train_user_tower(now, small, tmp_path / "u")
    assert [e["loss"] for e in resumed["epochs"]] == [e["loss"] for e in fresh["epochs"]]


def test_a_tower_like_another_takes_its_choices_and_its_schedule(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path
) -> None:
    settings = small.model_copy(update={"epochs": 3, "patience": 3})
    whole = train_user_tower(data, settings, tmp_path / "whole")
    chosen = {"popularity": 2, "past_weight": 5.0, "newcomer_weight": 1.0}
    like = {**whole, **chosen, "best_epoch": 1}
    log = train_user_tower(data, settings, tmp_path / "like", like=like)
    assert {name: log[name] for name in chosen} == chosen
    assert len(log["epochs"]) == 1
    same = train_user_tower(data, settings, tmp_path / "same", like=whole)
    steps = [epoch["loss"] for epoch in whole["epochs"][: whole["best_epoch"]]]
    assert [epoch["loss"] for epoch in same["epochs"]] == steps


@pytest.mark.parametrize("fits", [1, 2, 20, 21], ids="{} fits".format)
def test_nothing_held_out_reaches_a_training_without_early_stopping(
    fits: int,
    reviews: pl.DataFrame,
    item_vectors: Vectors,
    contexts: Vectors,
    profiles: pl.DataFrame,
    small: UserTowerSettings,
    tmp_path: Path,
) -> None:
    cut = int(reviews["timestamp"][500])
    late = pl.col("timestamp") >= cut
    known = pl.format('{{"fit": "{}"}}', pl.int_range(pl.len()) % fits)
    reviews = reviews.with_columns(extras=known)
    changed = reviews.with_columns(
        extras=pl.when(late).then(pl.lit('{"fit": "other"}')).otherwise("extras"),
        rating=pl.when(late).then(1.0).otherwise("rating"),
        parent_asin=pl.when(late).then(pl.lit("i07")).otherwise("parent_asin"),
        context=pl.when(late).then(pl.lit("work")).otherwise("context"),
    )
    hashes = []
    for number, frame in enumerate((reviews, changed)):
        data = user_tower_data(frame, item_vectors, contexts, profiles, train_until_ms=cut)
        assert len(data.valid) == 0
        train_user_tower(data, small, tmp_path / str(number))
        hashes.append(content_hash(tmp_path / str(number)))
    assert hashes[0] == hashes[1]


def test_a_request_of_which_nothing_is_known_asks_for_popular_items(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path, load: Load
) -> None:
    train_user_tower(data, small, tmp_path / "t")
    served = load(tmp_path / "t", data)
    nobody = asks(served, [], None)
    popular = served.items.matrix[:, served.items.tower + served.tower.shape.popularity]
    scores = (served.user_vectors(nobody) @ served.items.matrix.T)[0]
    best_first = np.argsort(-popular, kind="stable")
    assert np.argsort(-scores, kind="stable").tolist() == best_first.tolist()


def test_text_vectors_ride_along_with_a_weight_chosen_on_valid(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path, load: Load
) -> None:
    text = np.zeros((60, 5), np.float32)
    text[:30, 0], text[30:, 1] = 1, 1
    with_text = replace(data, text_vectors=Vectors(data.item_vectors.ids[:50], text[:50]))
    settings = small.model_copy(update={"epochs": 1})
    log = train_user_tower(with_text, settings, tmp_path / "t")
    served = load(tmp_path / "t", with_text)
    assert log["text_weight"] > 0
    assert served.items.matrix.shape[1] == 6 + log["columns"]["statistics"] + 5
    assert not served.items.matrix[50:, -5:].any()
    train_user_tower(data, settings, tmp_path / "plain")
    assert recall(served, data) > recall(load(tmp_path / "plain", data), data)


def test_without_context_profile_or_known_item(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path, load: Load
) -> None:
    bare = replace(
        data,
        context_vectors=Vectors([], np.zeros((0, 5), np.float32)),
        profiles=data.profiles.select("user_id"),
    )
    train_user_tower(bare, small, tmp_path / "t")
    assert np.isfinite(recall(load(tmp_path / "t", bare), bare))
    with pytest.raises(ValueError, match="no training event"):
        train_user_tower(replace(data, train=data.train[:0]), small, tmp_path / "t")


def test_chance_of_others_is_left_alone(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    want = torch.rand(1)
    torch.manual_seed(0)
    train_user_tower(data, small, tmp_path / "t")
    assert torch.equal(torch.rand(1), want)


def test_a_training_that_does_not_beat_popularity_is_not_served(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path, load: Load
) -> None:
    spoilt = small.model_copy(update={"learning_rate": 30.0})
    log = train_user_tower(data, spoilt, tmp_path / "t")
    assert log["best_epoch"] == 0
    served = load(tmp_path / "t", data)
    assert recall(served, data) == pytest.approx(log["popularity_recall"], abs=1e-6)


def test_newcomers_lean_on_popularity_as_far_as_valid_says(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path, load: Load
) -> None:
    settings = small.model_copy(update={"epochs": 1, "newcomer_weights": (0.0,)})
    vectors = {}
    for weight in (0.0, 1e4):
        weighted = settings.model_copy(update={"newcomer_weights": (weight,)})
        assert train_user_tower(data, weighted, tmp_path / str(weight))["newcomer_weight"] == weight
        served = load(tmp_path / str(weight), data)
        context = data.context_vectors.matrix[0]
        new, known = (asks(served, past, context) for past in ([], [(0, 5.0, 1.0)]))
        vectors[weight] = served.user_vectors(new), served.user_vectors(known)
    np.testing.assert_array_equal(vectors[0.0][1], vectors[1e4][1])
    popular = served.items.matrix[:, served.items.tower + served.tower.shape.popularity]
    scores = served.items.matrix @ vectors[1e4][0][0]
    assert np.corrcoef(scores, popular)[0, 1] > 0.999


def test_negatives_are_drawn_alike_in_a_small_and_a_large_shop() -> None:
    """All of a small one, each once; of a large one as many, each as likely."""
    sold = torch.arange(100, 105)
    assert sorted(recipe._drawn(sold, 9).tolist()) == sold.tolist()
    torch.manual_seed(3)
    many = torch.cat([recipe._drawn(torch.arange(1_000), 50) for _ in range(2_000)])
    counts = torch.bincount(many, minlength=1_000)
    assert len(many) == 100_000
    assert 50 < counts.min() < 100 < counts.max() < 160


def test_what_a_training_keeps_in_files_lies_on_the_disk_it_is_given(
    data: UserTowerData, small: UserTowerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten moments of a million items are gigabytes, which a temporary folder need not hold."""
    folders: list[Path] = []
    real = tempfile.TemporaryFile

    def noted(dir: Path) -> Any:
        folders.append(dir)
        return real(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", noted)
    train_user_tower(data, small.model_copy(update={"epochs": 1}), tmp_path / "t", scratch=tmp_path)
    assert folders == [tmp_path] * small.origins


@pytest.mark.parametrize(
    ("items", "asked"), [(5_572, 20_000), (112_590, 4_440), (1_000_000, 2_000)]
)
def test_weights_of_a_large_shop_are_chosen_by_fewer_queries(items: int, asked: int) -> None:
    rows = draw_rows(np.arange(70_000), items, UserTowerSettings())
    assert len(rows) == asked
    assert (np.diff(rows) > 0).all()
