"""The words of a text that are searched for: English stems, and pairs of letters in East Asia.

Chinese and Japanese put no spaces between words, and Korean hangs its particles on them, so there
every two neighbouring characters are a word, as in Lucene's CJK analysis.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import bm25s
import Stemmer
from bm25s.stopwords import STOPWORDS_EN

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
    found: list[list[str]] = bm25s.tokenize(
        [text if text.isascii() else UNSPACED.sub(_spaced, text) for text in texts],
        token_pattern=WORD,
        stopwords=STOP_WORDS,
        stemmer=Stemmer.Stemmer("english"),
        return_ids=False,
        show_progress=False,
    )
    return found


def _spaced(run: re.Match[str]) -> str:
    letters = run[0]
    return f" {' '.join(map(''.join, pairwise(letters))) or letters} "
