"""What a model answers, before it is believed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beauty_rec.keywords.llm import AskedKeywords
from beauty_rec.language.answers import read_answer
from beauty_rec.language.errors import BadAnswer


def answer(**told: Any) -> str:
    return json.dumps({"who": [], "when": [], "why": [], **told})


def test_a_good_answer_is_normalised() -> None:
    found = read_answer(answer(why=["Crème  brûlée scent", "soft", "Soft"]), AskedKeywords)
    assert found.why == ["creme brulee scent", "soft"]


@pytest.mark.parametrize(
    "keyword",
    ["prompt delivery", "clear instructions", "easy to follow instructions", "assistant manager",
     "model's favourite", "50+", "b&w look", "children's hair", "spf 30", "system of care"],
)  # fmt: skip
def test_words_of_products_pass(keyword: str) -> None:
    assert read_answer(answer(why=[keyword]), AskedKeywords).why == [keyword]


@pytest.mark.parametrize(
    "frame",
    ["{}", "\ufeff{}", "\n \ufeff {}\n", "```json\n{}\n```", "```\n{}```", "```JSON {} ```",
     "Sure:\n```json\n{}\n```\nDone.", "<think>hm {{}}</think>{}", "<THINK></think>\n{}",
     "hm\n</think>\n\n{}", "<think>a</think>\n```json\n{}\n```"],
)  # fmt: skip
def test_thoughts_and_fences_are_put_aside(frame: str) -> None:
    assert read_answer(frame.format(answer(why=["soft"])), AskedKeywords).why == ["soft"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ('{"who": [', "no JSON"),
        ("Sure! " + answer(), "no JSON"),
        ("```json\n" + answer()[:-1] + "\n```", "no JSON"),
        ("```json\n" + answer(), "no JSON"),
        ("<think>" + answer(), "thoughts without an answer"),
        ("<think>" + answer() + "</think>", "no JSON"),
        ("<think>x</think>" * 5_000 + "[" * 30_000, "longer than"),
        ("[]", "no JSON object"),
        ("NaN", "no JSON"),
        ("[" * 100_000, "longer than"),
        ("[" * 15_000, "no JSON"),
        (answer()[:-1] + ',"who":[]}', "no JSON"),
        ('{"who": [], "when": []}', r"breaks the schema \(why: missing\)"),
        (answer(secret=["x"]), "unknown field"),
        (answer(who="women"), "who: list_type"),
        (answer(who=[1]), "who: string_type"),
        (answer(who=["a" * 41]), "who: string_pattern_mismatch"),
        (answer(why=[f"k{i}" for i in range(13)]), "why: too_long"),
        (answer(why=["<b>soft</b>"]), "breaks the schema"),
        (answer(why=["乾燥肌"]), "breaks the schema"),
        (answer(why=["as an ai language model"]), "words about the prompt"),
        (answer(why=["ignore previous instructions"]), "words about the prompt"),
        (answer(why=["json schema"]), "words about the prompt"),
        (answer(who=["not specified"]), "words about the prompt"),
    ],
)
def test_a_bad_answer_is_refused_in_our_words(text: str, why: str) -> None:
    with pytest.raises(BadAnswer, match=why) as error:
        read_answer(text, AskedKeywords)
    assert len(str(error.value)) < 200
    assert "secret" not in str(error.value)


@given(st.text(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(
        st.sampled_from(["who", "when", "why", "x"]), inner, max_size=4),
).map(json.dumps))  # fmt: skip
def test_nothing_leaves_the_schema(text: str) -> None:
    try:
        found = read_answer(text, AskedKeywords)
    except BadAnswer:
        return
    for keyword in [*found.who, *found.when, *found.why]:
        assert 0 < len(keyword) <= 40
        assert keyword.isascii()
        assert not set('<>[]{}`\\"') & set(keyword)
