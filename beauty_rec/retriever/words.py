"""The words of a text that are searched for: English stems, and pairs of letters in East Asia.

Chinese and Japanese put no spaces between words, and Korean hangs its particles on them, so there
every two neighbouring characters are a word, as in Lucene's CJK analysis.
"""

import re
from collections.abc import Sequence
from itertools import chain, pairwise

import bm25s
import numpy as np
import Stemmer
from bm25s.stopwords import STOPWORDS_EN
from numpy.typing import NDArray

WORD = r"(?u)\b\w\w+\b|(?<![\w'’])[^\W\d_](?!\w)"
"""A single letter tells a vitamin C from an E; what follows an apostrophe tells nothing."""
STOP_WORDS = [*STOPWORDS_EN, "i"]
UNSPACED = re.compile(
    "[\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff"  # iteration marks, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # Han
    "\uac00-\ud7a3]+"  # Hangul
)


def words_of(texts: Sequence[str], pairs: bool) -> list[list[str]]:
    """Return the stems of each text; with ``pairs`` those of each two neighbours together, too.

    >>> words_of(["a polish for nails"], True)
    [['polish', 'nail', 'polish nail']]
    >>> words_of(["Women's Vitamin C", "玫瑰洗发水"], False)
    [['women', 'vitamin', 'c'], ['玫瑰', '瑰洗', '洗发', '发水']]
    """
    found = stems(texts)
    if not pairs:
        return found
    return [[*own, *(f"{one} {next_}" for one, next_ in pairwise(own))] for own in found]


def stems(texts: Sequence[str]) -> list[list[str]]:
    """Return the stems of the words of each text, stop words left out."""
    numbers, known = _stemmed(texts)
    names = {number: stem for stem, number in known.items()}
    return [[names[number] for number in text] for text in numbers]


def numbered(
    texts: Sequence[str], pairs: bool
) -> tuple[dict[str, int], NDArray[np.int64], NDArray[np.int64]]:
    """Return the words of :func:`words_of`, numbered as they sort, and each that stands in a text.

    The latter as (text, word), two int64 arrays; words in no order.
    """
    numbers, known = _stemmed(texts)
    names = sorted(known, key=known.__getitem__)
    lengths = np.fromiter(map(len, numbers), np.int64, len(numbers))
    found = np.fromiter(chain.from_iterable(numbers), np.int64, lengths.sum())
    rows = np.repeat(np.arange(len(lengths)), lengths)
    if pairs:
        first = np.flatnonzero(rows[1:] == rows[:-1])
        both = found[first] * len(names) + found[first + 1]
        kinds, kind = np.unique(both, return_inverse=True)
        found, rows = np.append(found, len(names) + kind), np.append(rows, rows[first])
        ones, others = (half.tolist() for half in np.divmod(kinds, max(1, len(names))))
        names += [f"{names[one]} {names[next_]}" for one, next_ in zip(ones, others, strict=True)]
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    return {names[at]: number for number, at in enumerate(order)}, rows, place[found]


def _stemmed(texts: Sequence[str]) -> tuple[list[list[int]], dict[str, int]]:
    """Return :func:`stems` as numbers, which are others in every process, and their numbering."""
    found = bm25s.tokenize(
        [text if text.isascii() else UNSPACED.sub(_spaced, text) for text in texts],
        token_pattern=WORD,
        stopwords=STOP_WORDS,
        stemmer=Stemmer.Stemmer("english"),
        show_progress=False,
    )
    return found.ids, found.vocab


def _spaced(run: re.Match[str]) -> str:
    letters = run[0]
    return f" {' '.join(map(''.join, pairwise(letters))) or letters} "
