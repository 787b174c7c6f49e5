import re
import sys
import time
import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.corpus.text import clean_column, clean_text

PIECES = (
    "< > <b> </ br/> <a & amp; &amp; lt; &#60; &#x3c; #38; &nbsp; &#0; &#55296; &#x200b; &shy; !-- "
    "[[ ASIN: VIDEOID: ]] \u200b \x00 \x85 \ud800 é 😀 a \u0301 \u0338 \u037e \u1100\u1161 amp lt"
)
pieces = st.sampled_from([*PIECES.split(" "), " ", "\n", "\u2028", "\xa0"])
dirty = st.lists(pieces | st.text(max_size=4), max_size=25).map("".join)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Good.<br /><br />Buy it", "Good. Buy it"),
        ("I &#34;love&#34; it &amp; you", 'I "love" it & you'),
        ("&amp;lt;b&amp;gt;bold&amp;lt;/b&amp;gt;", "bold"),
        ("I <3 it, 5 < 6 > 4", "I <3 it, 5 < 6 > 4"),
        ("mois\u00adtur\u200bizer\x00\x07 x", "moisturizer x"),
        ("  a \t\r\n b\u00a0c\u2028d ", "a b c d"),
        ('<a data-hook="x" class="y" href="/dp/B1">The cream</a> works', "The cream works"),
        ("[[VIDEOID:ab12cd]] see [[ASIN:B001 Great Cream]]!", "see Great Cream !"),
        ("AT&T, Q&A; caf&eacute; &bogus; 👩‍🔬", "AT&T, Q&A; café &bogus; 👩🔬"),
        ("cre\u0300me, \u1107\u1175\u1102\u116e, e\u200b&#769;", "crème, 비누, é"),
        ("&lt\u037eb&gt\u037e bold", "bold"),  # Greek question marks
        ("", ""),
        (" <br/> ", ""),
    ],
)
def test_known_dirt(raw, clean):
    assert clean_text(raw) == clean


@settings(max_examples=400, deadline=None)
@given(dirty)
def test_cleaning_is_idempotent_and_leaves_no_dirt(raw):
    clean = clean_text(raw)
    assert clean_text(clean) == clean
    assert not re.search(r"<(?:[a-zA-Z!]|/[a-zA-Z])[^>]*>", clean)
    assert unicodedata.is_normalized("NFC", clean)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in clean)
    assert clean == " ".join(clean.split())


def test_a_column_composes_every_letter_that_the_function_does():
    letters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    changed = [one for one in letters if unicodedata.normalize("NFC", one) != one]
    # What may be drawn to the letter before it.
    changed += ["a" + one for one in letters if unicodedata.combining(one)]
    changed += ["\u1100" + chr(code) for code in range(0x1161, 0x1176)]
    changed += ["가" + chr(code) for code in range(0x11A8, 0x11C3)]
    assert len(changed) > 1_500
    cleaned = clean_column(pl.Series("text", changed))
    assert cleaned.to_list() == [clean_text(text) for text in changed]
    assert all(unicodedata.is_normalized("NFC", text) for text in cleaned)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | dirty.map(lambda s: s.encode("utf-8", "ignore").decode()), max_size=6))
def test_column_agrees_with_the_function_and_leaves_its_input(texts):
    raw = pl.Series("text", texts, dtype=pl.String)
    cleaned = clean_column(raw)
    assert cleaned.to_list() == [None if t is None else clean_text(t) for t in texts]
    assert raw.to_list() == texts
    assert cleaned.name == "text"


def test_column_sees_every_character_that_the_function_changes():
    characters = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
    texts = [f"a{c}b" for c in characters]
    changed = [c for c, text in zip(characters, texts, strict=True) if clean_text(text) != text]
    column = clean_column(pl.Series([f"a{c}b" for c in changed]))
    assert column.to_list() == [clean_text(f"a{c}b") for c in changed]


@pytest.mark.parametrize("unit", ["<a", "&amp;", "[[ASIN:", "&#38;", "<!--", "&lt;a "])
def test_hostile_text_takes_linear_time(unit):
    start = time.perf_counter()
    clean_text("&" + unit * (1_000_000 // len(unit)))
    assert time.perf_counter() - start < 5
