"""An item tower that is asked about values which came after its training."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from beauty_rec.items.vocabulary import UNKNOWN, Vocabulary
from beauty_rec.settings import ItemTowerSettings, VocabularySettings
from beauty_rec.towers.items.features import ItemFeatures, item_features
from beauty_rec.towers.items.inputs import ItemInputs
from beauty_rec.towers.items.served import (
    VOCABULARY,
    item_vectors,
    load_item_tower,
    todays_item_tower,
)
from beauty_rec.towers.items.train import train_item_tower
from beauty_rec_tests.towers.items.test_train import reader

SETTINGS = ItemTowerSettings(
    dimension=8, embedding=8, heads=2, epochs=2, min_steps=0, batch_size=32, attribute_share=0.5
)
WORDS = VocabularySettings(min_count=2, max_re=4)
KINDS, SCENTS = ("soap", "balm", "serum"), ("rose", "mint", "oud", "fig")


def attributes(rows: int) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "parent_asin": [f"i{row:02}" for row in range(rows)],
            "category": [KINDS[k] for k in draw.integers(3, size=rows)],
            "brand": [f"b{row}" if row < 5 else "lumi" for row in range(rows)],  # five are unknown
            "scent": [[SCENTS[s] for s in draw.permutation(4)[:2]] for _ in range(rows)],
        }
    )


KNOWN = attributes(60)
NIGHT = pl.DataFrame(
    {
        "parent_asin": ["n0", "n1", "n2"],
        "category": ["soap", "laser", "laser"],
        "brand": ["lumi", "lumi", "nova"],
        "scent": [["neroli", "rose"], ["neroli"], ["rose", "neroli"]],
    }
)
"""The night's new items: a new category and a new scent with ids, a brand without one."""


def features(words: Vocabulary, frame: pl.DataFrame) -> ItemFeatures:
    encoded = words.encode(frame)
    ids = frame["parent_asin"].to_list()
    return item_features(ids, encoded.std, encoded.re, dict.fromkeys(ids, "red 1"))


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Vocabulary]:
    words = Vocabulary.build(KNOWN, None, WORDS)
    own = features(words, KNOWN)
    inputs = ItemInputs(own, len(words), own.std[:, 0], 0)
    train_item_tower(inputs, reader(own), SETTINGS, tmp_path / "tower")
    words.save(tmp_path / "tower" / VOCABULARY)
    return tmp_path / "tower", words


def test_old_ids_and_rows_stay_and_a_new_value_says_nothing_yet(
    trained: tuple[Path, Vocabulary],
) -> None:
    folder, words = trained
    today = Vocabulary.build(pl.concat([KNOWN, NIGHT]), words, WORDS)
    assert [e[:3] for e in today.entries[: len(words) - 3]] == [e[:3] for e in words.entries]
    assert [e.value for e in today.entries[len(words) - 3 :]] == ["laser", "neroli"]

    tower, known = todays_item_tower(folder, today)
    assert known is today
    kept = load_file(folder / "model.safetensors")
    for name, table in (("embedding.weight", tower.embedding.weight), ("space", tower.space)):
        assert len(table) == len(today)
        assert torch.equal(table[: len(words)], kept[name]), "bit for bit"
    laser, neroli = (tower.embedding.weight[len(words) + i] for i in (0, 1))
    assert torch.equal(laser, kept["embedding.weight"][UNKNOWN])
    assert not neroli.any()

    everything = pl.concat([KNOWN, NIGHT])
    before = features(words, everything)
    after = features(today, everything)
    assert (before.std != after.std).any()
    assert (before.re != after.re).any()
    one = item_vectors(load_item_tower(folder), reader(before), before).matrix
    two = item_vectors(tower, reader(after), after).matrix
    np.testing.assert_allclose(two, one, atol=1e-6)
    np.testing.assert_array_equal(two[: len(KNOWN)], one[: len(KNOWN)])


def test_an_item_with_a_new_value_lies_near_its_kind(trained: tuple[Path, Vocabulary]) -> None:
    folder, words = trained
    today = Vocabulary.build(pl.concat([KNOWN, NIGHT]), words, WORDS)
    tower, _ = todays_item_tower(folder, today)
    frame = pl.concat([KNOWN, NIGHT])
    inputs = features(today, frame)
    vectors = item_vectors(tower, reader(inputs), inputs).matrix
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    cosines = vectors[len(KNOWN)] @ vectors[: len(KNOWN)].T  # n0: a soap of rose and a new scent
    like = np.array(
        [c == "soap" and "rose" in s for c, s in KNOWN.select("category", "scent").iter_rows()]
    )
    assert cosines[like].mean() > cosines[~like].mean() + 0.1


def test_a_vocabulary_of_other_ids_leaves_the_tower_as_it_was_trained(
    trained: tuple[Path, Vocabulary],
) -> None:
    folder, words = trained
    other = Vocabulary.build(NIGHT, None, WORDS)
    tower, known = todays_item_tower(folder, other)
    assert known == words
    assert tower.embedding.num_embeddings == len(words)
