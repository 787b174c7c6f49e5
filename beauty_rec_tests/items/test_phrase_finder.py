"""Words and phrases found in text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.items.phrase_finder import Lexicon, words

LEXICON = Lexicon(
    {
        "skin_type": {"oily": ["oily skin"], "dry": ["dry skin"]},
        "ingredient": {"paraben": ["paraben"], "coconut oil": ["coconut oil", "coconut"]},
        "benefit": {"paraben free": ["paraben free"]},
        "form": {"oil": ["oil"]},
    }
)


def found(text: str) -> list[tuple[str, str]]:
    return [(hit.field, hit.value) for hit in LEXICON.find(words(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("For Oily-Skin", [("skin_type", "oily")]),
        ("not for oily skin", []),
        ("Paraben-Free", [("benefit", "paraben free")]),
        ("no parabens", []),
        ("with parabens", [("ingredient", "paraben")]),
        ("coconut oils", [("ingredient", "coconut oil"), ("form", "oil")]),
        ("COCONUT, oily hair", [("ingredient", "coconut oil")]),
        ("", []),
    ],
)
def test_phrases(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


def test_words_are_plain() -> None:
    assert words("Women's Crèmes & Brushes, 2 glasses") == [
        "women", "creme", "brush", "2", "glass",
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    tokens = words(text)
    for hit in LEXICON.find(tokens):
        assert 0 <= hit.start < hit.end <= len(tokens)
