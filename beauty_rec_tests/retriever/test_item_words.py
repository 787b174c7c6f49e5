"""The words of items by field: texts and titles apart, kept, grown, and read without titles."""

import shutil
from pathlib import Path

import numpy as np

from beauty_rec.retriever.item_words import TITLES, ItemWords

IDS = ["A", "B", "C"]
TEXTS = ["Rose shampoo. Good after the sauna", "Night cream: my shampoo leaves me dry", ""]
NAMED = ["Rose shampoo", "Night cream", None]


def test_a_title_names_what_a_text_only_mentions() -> None:
    words = ItemWords.build(IDS, TEXTS, NAMED)
    assert (words.texts.scores(["shampoo"])[0] > 0).tolist() == [True, True, False]
    assert (words.titles.scores(["shampoo"])[0] > 0).tolist() == [True, False, False]


def test_neighbours_in_a_title_are_a_word() -> None:
    titles = ["Dry shampoo", "Shampoo for dry scalps", "Dry oil"]
    scores = ItemWords.build(IDS, TEXTS, titles).titles.scores(["a dry shampoo"])
    assert scores[0].argmax() == 0
    assert scores[0, 0] > scores[0, 1] > scores[0, 2] > 0


def test_it_is_read_as_it_was_written_and_grows(tmp_path: Path) -> None:
    words = ItemWords.build(IDS, TEXTS, NAMED)
    words.save(tmp_path / "words")
    again = ItemWords.load(tmp_path / "words")
    for index, wanted in ((again.texts, words.texts), (again.titles, words.titles)):
        found = index.scores(["night shampoo"])
        np.testing.assert_array_equal(found, wanted.scores(["night shampoo"]))
    grown = again.with_items(["D"], ["Soap for the shower"], ["Soap"])
    assert grown.texts.ids == grown.titles.ids == [*IDS, "D"]
    assert (grown.titles.scores(["soap in the shower"])[0] > 0).tolist() == [False] * 3 + [True]
    assert grown.titles.scores(["shower"])[0].tolist() == [0, 0, 0, 0]


def test_a_set_of_before_has_no_title(tmp_path: Path) -> None:
    words = ItemWords.build(IDS, TEXTS, NAMED)
    words.save(tmp_path / "words")
    shutil.rmtree(tmp_path / "words" / TITLES)
    old = ItemWords.load(tmp_path / "words")
    assert old.titles.ids == IDS
    assert not old.titles.scores(["rose shampoo"]).any()
    new = old.with_items(["D"], ["Soap"], ["Soap"])
    assert (new.titles.scores(["soap"])[0] > 0).tolist() == [False, False, False, True]
