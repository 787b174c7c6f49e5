import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from beauty_rec.settings import ItemTowerSettings
from beauty_rec.towers.items import title_states
from beauty_rec.towers.items import train as recipe
from beauty_rec.towers.items.features import MASK, ItemFeatures, item_features
from beauty_rec.towers.items.inputs import ItemInputs
from beauty_rec.towers.items.losses import simcse_loss
from beauty_rec.towers.items.model import ItemTower
from beauty_rec.towers.items.report import Looked
from beauty_rec.towers.items.served import (
    item_vectors,
    items_alike,
    load_item_tower,
    value_rows,
)
from beauty_rec.towers.items.title_states import TitleReader
from beauty_rec.towers.items.train import CollapseError, train_item_tower
from beauty_rec.training.seeds import seeded
from beauty_rec_tests.training.kills import kill_in_call

SETTINGS = ItemTowerSettings(
    dimension=8, embedding=8, heads=2, epochs=3, min_steps=0, batch_size=32, learning_rate=5e-3,
    attribute_share=0.85,
)  # fmt: skip
VOCABULARY = 40


def tokenizer(texts: list[str], **_: object) -> dict[str, torch.Tensor]:
    ids = torch.zeros(len(texts), 4, dtype=torch.long)
    for row, text in enumerate(texts):
        for place, word in enumerate(text.split()[:4]):
            ids[row, place] = 1 + sum(word.encode()) % 29
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}


def reader(
    features: ItemFeatures, trained: bool = False, precision: str = "float32"
) -> TitleReader:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=8,
    )  # fmt: skip
    return TitleReader(
        tokenizer, BertModel(config), features.titles, 4, trained, precision=precision
    )


@pytest.fixture
def features() -> ItemFeatures:
    rng = np.random.default_rng(0)
    category = rng.integers(3, 6, 90)
    std = np.stack([category, rng.integers(6, 9, 90)], axis=1)
    re = category[:, None] * 5 + rng.integers(-3, 4, (90, 4))
    ids = [f"i{i:02}" for i in range(90)]
    titles = {name: f"red {rng.integers(9)}" for name in ids[:80]} | {"i85": "  "}
    return item_features(ids, std, re, titles)


def known(features: ItemFeatures) -> ItemInputs:
    return ItemInputs(features, VOCABULARY, features.std[:, 0], 0)


def test_features_say_which_items_are_alike() -> None:
    std, re = np.array([[3], [3], [3]]), np.array([[5, 6], [6, 5], [5, 0]])
    features = item_features(["a", "b", "c"], std, re, {"a": "x ", "b": "x", "c": "x"})
    assert features.distinct().tolist() == [0, 2]
    assert features.titles == ["x"]
    with pytest.raises(ValueError, match="rows"):
        item_features(["a"], std, re, {})


def test_an_item_without_title_has_no_tokens(features: ItemFeatures) -> None:
    states, mask = reader(features).read(torch.tensor([0, -1]))
    assert states.shape == (2, 4, 8)
    assert mask.any(dim=1).tolist() == [True, False]


def test_titles_read_by_length_are_as_each_alone(features: ItemFeatures) -> None:
    titles = reader(features)
    together, mask = titles.read(torch.arange(len(features.titles)))
    for row, title in enumerate(features.titles):
        one = item_features(["x"], features.std[:1], features.re[:1], {"x": title})
        alone, own = reader(one).read(torch.tensor([0]))
        torch.testing.assert_close(together[row][mask[row]], alone[0][own[0]], rtol=0, atol=5e-3)


def test_titles_read_in_bfloat16_say_the_same(features: ItemFeatures, tmp_path: Path) -> None:
    plain, reduced = (reader(features, precision=name) for name in ("float32", "bfloat16"))
    every = torch.arange(len(features.titles))
    (states, mask), (rounded, same) = plain.read(every), reduced.read(every)
    assert torch.equal(mask, same)
    assert 0 < float((states - rounded)[mask].abs().max()) < 0.05
    train_item_tower(known(features), plain, SETTINGS, tmp_path / "t")
    tower = load_item_tower(tmp_path / "t")
    one, two = (item_vectors(tower, titles, features).matrix for titles in (plain, reduced))
    assert float((one * two).sum(axis=1).min()) > 0.999


def test_trained_vectors_are_unit_vectors_and_know_their_kind(
    features: ItemFeatures, tmp_path: Path
) -> None:
    titles = reader(features)
    log = train_item_tower(
        known(features), titles, SETTINGS.model_copy(update={"min_steps": 60}), tmp_path / "t"
    )
    vectors = item_vectors(load_item_tower(tmp_path / "t"), titles, features)
    np.testing.assert_allclose(np.linalg.norm(vectors.matrix, axis=1), 1, rtol=1e-5)
    assert vectors.matrix.dtype == np.float32
    assert vectors.ids == features.ids
    first, last = log["epochs"][0], log["epochs"][-1]
    assert last["loss"] < first["loss"]
    assert last["purity"] > last["purity_by_chance"] + 0.2
    references = log["references"]
    assert last["purity"] > references["random_start"]["purity"]
    assert set(references["attributes"]) == {"uniformity", "purity", "alignment"}
    assert log["steps"] == 63  # three epochs of seven passes of three batches
    assert log["table_correlation"] < 0.95
    assert set(last) >= {"alignment", "uniformity", "mean_cosine", "seconds"}


@pytest.mark.parametrize("trained", [False, True])
def test_resumed_is_as_uninterrupted(
    features: ItemFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: bool
) -> None:
    arguments = (known(features),)
    whole = train_item_tower(*arguments, reader(features, trained), SETTINGS, tmp_path / "whole")
    kept: dict[str, Any] = {"checkpoints": tmp_path / "kept"}
    calls = kill_in_call(monkeypatch, recipe, "_train_epoch", 2)
    with pytest.raises(KeyboardInterrupt):
        train_item_tower(
            *arguments, reader(features, trained), SETTINGS, tmp_path / "again", **kept
        )
    resumed = train_item_tower(
        *arguments, reader(features, trained), SETTINGS, tmp_path / "again", **kept
    )
    assert len(calls) == 4  # one before the kill, one killed, two after
    assert [e["loss"] for e in resumed["epochs"]] == [e["loss"] for e in whole["epochs"]]
    for file in ("model.safetensors", *(["titles.safetensors"] if trained else [])):
        same = (tmp_path / "whole" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
        assert same, file


@pytest.mark.parametrize("more", [1, 0], ids=["a larger vocabulary", "other titles"])
def test_a_killed_training_begins_anew_with_other_data(
    more: int, features: ItemFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vocabulary grows by a value that no item of the training has, say an occasion."""
    kept: dict[str, Any] = {"checkpoints": tmp_path / "kept"}
    calls = kill_in_call(monkeypatch, recipe, "_train_epoch", 2)
    with pytest.raises(KeyboardInterrupt):
        train_item_tower(known(features), reader(features), SETTINGS, tmp_path / "t", **kept)
    if not more:
        features = replace(features, title=np.roll(features.title, 1))
    now = replace(known(features), vocabulary_size=VOCABULARY + more)
    log = train_item_tower(now, reader(features), SETTINGS, tmp_path / "t", **kept)
    assert len(calls) == 2 + SETTINGS.epochs
    assert len(log["epochs"]) == SETTINGS.epochs
    assert load_item_tower(tmp_path / "t").embedding.num_embeddings == VOCABULARY + more


def test_a_frozen_title_encoder_keeps_its_bytes_and_a_trained_one_moves(
    features: ItemFeatures, tmp_path: Path
) -> None:
    for trained in (False, True):
        titles = reader(features, trained)
        before = {k: v.clone() for k, v in titles.encoder.state_dict().items()}
        train_item_tower(known(features), titles, SETTINGS, tmp_path / "t")
        same = [torch.equal(v, before[k]) for k, v in titles.encoder.state_dict().items()]
        assert all(same) is not trained


def reported(monkeypatch: pytest.MonkeyPatch, *cosines: float) -> None:
    """Let the reports of the random start and of the epochs say these mean cosines."""
    said, of_tower = iter(cosines), Looked.of_tower
    monkeypatch.setattr(
        Looked, "of_tower", lambda self, *read: of_tower(self, *read) | {"mean_cosine": next(said)}
    )


def test_a_collapse_fails(
    features: ItemFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported(monkeypatch, 0.3, 0.96)
    with pytest.raises(CollapseError, match="mean cosine"):
        train_item_tower(known(features), reader(features), SETTINGS, tmp_path / "t")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("start", [0.92, 0.3])
def test_items_that_are_read_as_nearly_one_are_worth_a_warning(
    features: ItemFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: float
) -> None:
    """A shop of forty rose soaps: their start, or their texts, lie as close as a collapse."""
    reported(monkeypatch, start, 0.96, 0.96, 0.999)
    texts = np.full((len(features), 4), 0.5, np.float32) if start < 0.9 else None
    log = train_item_tower(known(features), reader(features), SETTINGS, tmp_path / "t", texts=texts)
    assert log["distinct"] > 2
    [note] = log["notes"]
    assert "0.999" in note
    assert items_alike(tmp_path / "t")


def test_items_that_nothing_tells_apart_are_worth_a_warning(tmp_path: Path) -> None:
    ids = [f"i{row}" for row in range(5)]
    std, re = np.full((5, 2), 3), np.tile([5, 6], (5, 1))
    features = item_features(ids, std, re, dict.fromkeys(ids, ""))
    log = train_item_tower(known(features), reader(features), SETTINGS, tmp_path / "t")
    assert log["distinct"] == 1
    assert ["nothing tells" in note for note in log["notes"]] == [True]
    assert items_alike(tmp_path / "t")


def test_a_tower_of_before_the_attribute_space_answers_without_one(
    features: ItemFeatures, tmp_path: Path
) -> None:
    folder, titles = tmp_path / "t", reader(features)
    train_item_tower(known(features), titles, SETTINGS, folder)
    config = json.loads((folder / "config.json").read_text())
    for name in ("attribute_dimension", "attribute_share"):
        del config["settings"][name]
    del config["attributes"]
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    assert weights.pop("space").shape[1] > 0
    save_file(weights, folder / "model.safetensors")
    vectors = item_vectors(load_item_tower(folder), titles, features).matrix
    assert vectors.shape == (len(features), SETTINGS.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_few_items_are_passed_until_there_are_enough_steps(
    features: ItemFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[torch.Tensor] = []

    def counted(one: torch.Tensor, two: torch.Tensor, temperature: float) -> torch.Tensor:
        losses.append(simcse_loss(one, two, temperature))
        return losses[-1]

    monkeypatch.setattr(recipe, "simcse_loss", counted)
    settings = SETTINGS.model_copy(update={"min_steps": 20})
    log = train_item_tower(known(features), reader(features), settings, tmp_path / "t")
    assert len(losses) == log["steps"] == 3 * 3 * 3  # epochs, passes, batches
    assert len(log["epochs"]) == 3


def test_a_value_of_no_item_has_no_row_and_every_other_has_moved(
    features: ItemFeatures, tmp_path: Path
) -> None:
    train_item_tower(known(features), reader(features), SETTINGS, tmp_path / "t")
    table = load_item_tower(tmp_path / "t").embedding.weight.detach().numpy()
    with seeded(SETTINGS.seed):
        start = ItemTower(VOCABULARY, 2, 8, SETTINGS).embedding.weight.detach().numpy()
    used = set(features.std.ravel().tolist()) | set(features.re.ravel().tolist()) | {MASK}
    for value in range(VOCABULARY):
        if value in used:
            assert np.abs(table[value] - start[value]).max() > 1e-3, value
        else:
            assert not table[value].any(), value


def test_what_the_tower_knows_of_an_id_has_both_kinds_at_one_scale(
    features: ItemFeatures, tmp_path: Path
) -> None:
    train_item_tower(known(features), reader(features), SETTINGS, tmp_path / "t")
    tower = load_item_tower(tmp_path / "t")
    rows = value_rows(tower)
    learned, attributes = rows[:, : SETTINGS.embedding], rows[:, SETTINGS.embedding :]
    table, space = tower.embedding.weight.detach().numpy(), tower.space.numpy()
    for own, source in ((learned, table), (attributes, space)):
        assert np.square(own[own.any(axis=1)]).mean() == pytest.approx(1, rel=1e-4)
        assert np.corrcoef(own.ravel(), source.ravel())[0, 1] == pytest.approx(1, abs=1e-5)
    stated = set(features.re.ravel().tolist())
    assert {v for v in range(VOCABULARY) if attributes[v].any()} <= stated


def test_equal_seeds_give_equal_bytes(features: ItemFeatures, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train_item_tower(known(features), reader(features), SETTINGS, tmp_path / name)
    files = ("model.safetensors", "config.json")
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )


def test_the_share_that_valid_chose_is_served(features: ItemFeatures, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"attribute_share": None})
    log = train_item_tower(known(features), reader(features), settings, tmp_path / "t")
    assert log["attribute_share"] == 0.85, "nothing was asked: the usual one"
    assert load_item_tower(tmp_path / "t").settings.attribute_share == 0.85
    unchosen = ItemTower(VOCABULARY, 2, 8, settings, attributes=3)
    with pytest.raises(ValueError, match="not been chosen"):
        item_vectors(unchosen, reader(features), features)


def test_many_items_are_passed_in_part(features: ItemFeatures, tmp_path: Path) -> None:
    bounded = SETTINGS.model_copy(update={"max_steps": 6})  # three batches make a pass
    log = train_item_tower(known(features), reader(features), bounded, tmp_path / "t")
    assert log["steps"] == 6
    assert len(log["epochs"]) == 3


def test_titles_are_tokenized_alike_in_parts(
    features: ItemFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_longest(texts: list[str], **_: object) -> dict[str, torch.Tensor]:
        longest = max(len(text.split()) for text in texts)
        return {name: ids[:, :longest] for name, ids in tokenizer(texts).items()}

    titles = ["red", "red 1", "a red pot with 3", "blue"]
    whole = title_states._tokenized(to_longest, titles, 4)
    monkeypatch.setattr(title_states, "TOKENIZED", 1)
    for one, other in zip(whole, title_states._tokenized(to_longest, titles, 4), strict=True):
        assert torch.equal(one, other)
