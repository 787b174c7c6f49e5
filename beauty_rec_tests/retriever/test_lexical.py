"""BM25 over item texts: the library's own scores, later texts, and what the disk keeps."""

from pathlib import Path

import bm25s
import numpy as np
import pytest

from beauty_rec.retriever.lexical import K1, B, LexicalIndex
from beauty_rec.retriever.words import stems, words_of

WORDS = [
    "rose",
    "soap",
    "night",
    "cream",
    "gentle",
    "shampoo",
    "dry",
    "scalp",
    "mint",
    "lips",
    "the",
    "a",
    "of",
    "and",
    "for",
]
draw = np.random.default_rng(4)
TEXTS = [" ".join(draw.choice(WORDS, size)) for size in draw.integers(1, 12, 40)] + ["", "the of"]
IDS = [f"i{row}" for row in range(len(TEXTS))]
QUERIES = ["a rose soap", "soaps, soaps and SOAP", "nothing known: qwxz", "", "dry scalp mint"]


def test_words_are_numbered_by_themselves_and_not_by_the_process() -> None:
    """A set of strings has another order in every process, and a run is to give the same bytes."""
    words = LexicalIndex.build(IDS, TEXTS).words
    assert list(words) == sorted(words)
    assert list(words.values()) == list(range(len(words)))


def test_scores_are_those_of_the_library() -> None:
    index = LexicalIndex.build(IDS, TEXTS)
    library = bm25s.BM25(k1=K1, b=B)
    library.index(stems(TEXTS), show_progress=False)
    found = index.scores(QUERIES)
    assert found.shape == (len(QUERIES), len(TEXTS))
    for query, scores in zip(stems(QUERIES), found, strict=True):
        known = [word for word in query if word in library.vocab_dict and word]
        wanted = library.get_scores(known) if known else np.zeros(len(TEXTS))
        np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-6)
    assert not found[2:4].any()
    assert not found[:, -2:].any()  # an empty text, and one of stop words


@pytest.mark.parametrize("pairs", [False, True])
def test_postings_are_those_of_the_library(pairs: bool) -> None:
    index = LexicalIndex.build(IDS, TEXTS, pairs=pairs)
    numbered = [[index.words[word] for word in said] for said in words_of(TEXTS, pairs)]
    library = bm25s.BM25(k1=K1, b=B)
    library.index((numbered, index.words), create_empty_token=False, show_progress=False)
    for name, found in (("indptr", index.start), ("indices", index.rows), ("data", index.data)):
        np.testing.assert_array_equal(found, library.scores[name])
    assert index.mean_length == np.mean([len(said) for said in numbered])
    assert [index.start.dtype, index.rows.dtype, index.data.dtype] == ["int64", "int32", "float32"]


def test_a_text_that_comes_later_scores_as_if_it_had_been_there() -> None:
    index = LexicalIndex.build(IDS, TEXTS)
    grown = index.with_texts(["again", "other"], [TEXTS[3], "qwxz " + TEXTS[5]])
    assert grown.ids == [*IDS, "again", "other"]
    scores = grown.scores(QUERIES)
    # Its words are as rare as they were, so a known text scores what it scores already.
    np.testing.assert_allclose(scores[:, len(IDS)], scores[:, 3], rtol=1e-5)
    np.testing.assert_array_equal(scores[:, : len(IDS)], index.scores(QUERIES))
    more = grown.with_texts(["third"], [TEXTS[3]])
    np.testing.assert_allclose(more.scores(QUERIES)[:, -1], scores[:, 3], rtol=1e-5)
    assert len(index.ids) == len(IDS)  # the older index knows nothing of it
    assert index.scores(["rose"]).shape == (1, len(IDS))


def test_a_word_that_came_later_is_found() -> None:
    index = LexicalIndex.build(IDS, TEXTS)
    grown = index.with_texts(["new"], ["Zorblax rose soap"]).with_texts(["newer"], ["zorblax"])
    (found,) = grown.scores(["zorblax"])
    assert np.flatnonzero(found).tolist() == [len(IDS), len(IDS) + 1]
    rarest = max(index.scores([word]).max() for word in index.words)
    assert found[-1] > rarest  # no text of the index had it
    assert not index.scores(["zorblax"]).any()


@pytest.mark.parametrize("texts", [TEXTS, ["", "the"], []])
def test_an_index_survives_the_disk(tmp_path: Path, texts: list[str]) -> None:
    index = LexicalIndex.build(IDS[: len(texts)], texts)
    index.save(tmp_path / "index")
    again = LexicalIndex.load(tmp_path / "index")
    assert again.ids == index.ids
    np.testing.assert_array_equal(again.scores(QUERIES), index.scores(QUERIES))
    if texts is TEXTS:
        later = ["again"], [TEXTS[3]]
        np.testing.assert_array_equal(
            again.with_texts(*later).scores(QUERIES), index.with_texts(*later).scores(QUERIES)
        )


@pytest.mark.parametrize(
    ("asked", "found", "other"),
    [
        ("vitamin c", "Vitamin C serum", "Vitamin E serum"),
        ("a K-beauty toner", "K beauty toner", "Beauty toner"),
        ("洗发水", "玫瑰洗发水", "玫瑰水"),
        ("シャンプーを", "保湿シャンプー", "保湿クリーム"),
        ("샴푸를 찾아요", "순한 샴푸", "순한 크림"),
    ],
)
def test_what_tells_two_items_apart_is_a_word(asked: str, found: str, other: str) -> None:
    for pairs in (False, True):
        index = LexicalIndex.build(["found", "other"], [found, other], pairs=pairs)
        best, rest = index.scores([asked])[0]
        assert best > rest


def test_a_word_of_no_meaning_is_none() -> None:
    index = LexicalIndex.build(["s", "i", "t"], ["Size S dress", "I", "Don't"])
    assert index.scores(["women's, women’s, I don't"])[0].tolist()[:2] == [0, 0]
