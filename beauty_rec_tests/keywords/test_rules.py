import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.keywords.ages import find_ages
from beauty_rec.keywords.lexicon import load_lexicon
from beauty_rec.keywords.rules import RulesExtractor
from beauty_rec.keywords.schema import FACETS, ReviewKeywords
from beauty_rec.keywords.tokens import tokenise

RULES = RulesExtractor()
LABELLED = tomllib.loads((Path(__file__).parent / "labelled.toml").read_text("utf-8"))["review"]

WORDS = st.sampled_from(
    """not no never without doesn't and or but , . ! my is the for in a greasy oily dry sensitive
    skin hair curly daughter men winter night before bed smells good strong scent acne charcoal
    scrub lip balm brush thick 50s 5 year old great love sticky sulfates""".split()  # noqa: SIM905
)
REVIEWS = st.lists(WORDS, max_size=40).map(" ".join)


def said(text: str, title: str = "") -> ReviewKeywords:
    return RULES.read(title, text)


@pytest.mark.parametrize("facet", FACETS)
def test_precision_and_recall_on_labelled_sentences(facet: str) -> None:
    right = given_ = wanted = 0
    wrong = []
    for review in LABELLED:
        labels, found = set(review.get(facet, [])), set(getattr(said(review["text"]), facet))
        right += len(labels & found)
        given_ += len(found)
        wanted += len(labels)
        if labels != found:
            wrong.append((review["text"], sorted(labels - found), sorted(found - labels)))
    assert right / given_ >= 0.9, wrong
    assert right / wanted >= 0.9, wrong


@pytest.mark.parametrize(
    ("text", "facet", "has", "lacks"),
    [
        ("not for oily skin", "who", [], ["oily skin"]),
        ("not greasy, and moisturizing", "why", ["non-greasy", "moisturizing"], ["greasy"]),
        ("not greasy but sticky", "why", ["non-greasy", "sticky"], ["non-sticky"]),
        ("doesn't irritate my sensitive skin", "who", ["sensitive skin"], []),
        ("I wouldn't buy it again. Greasy.", "why", ["greasy"], ["non-greasy"]),
        (
            "no parabens, sulfates or scent",
            "why",
            ["paraben-free", "sulfate-free", "unscented"],
            [],
        ),
        ("I don't like the scent", "why", ["scented"], ["unscented"]),
        ("not good for my daughter", "who", [], ["daughter"]),
        ("it isn't what my daughter wanted", "who", ["daughter"], []),
        ("no charcoal scrub has done this", "why", [], ["charcoal scrub"]),
        ("doesn’t smell", "why", ["unscented"], []),
        ("does not help with acne or frizz", "why", [], ["no breakouts", "acne"]),
        ("it does not prevent frizz", "why", ["frizz"], ["frizz control"]),
        ("this works well", "when", [], ["at work"]),
    ],
)
def test_negation(text: str, facet: str, has: list[str], lacks: list[str]) -> None:
    found = getattr(said(text), facet)
    assert set(has) <= set(found)
    assert not set(lacks) & set(found)


@pytest.mark.parametrize(
    ("text", "ages"),
    [
        ("in my 50's", ["50s"]),
        ("I'm 33 and", ["30s"]),
        ("for women over 40.", ["40s"]),
        ("my 14 year old son", ["teenager"]),
        ("a 6 month old baby", ["baby"]),
        ("over 50 reviews", []),
        ("I'm 20 weeks pregnant", []),
        ("my 10 year old straightener", []),
        ("24k gold, 50 ml, 99%", []),
        ("", []),
    ],
)
def test_ages_in_numbers(text: str, ages: list[str]) -> None:
    assert find_ages(tokenise(text)) == ages


def test_product_nouns_survive_and_titles_count_more() -> None:
    why = said("I like the jar, the lid and the barrier cream.", title="Charcoal scrub").why
    assert why[0] == "charcoal scrub"
    assert {"barrier cream", "jar"} <= set(why)


def test_number_of_phrases_is_capped() -> None:
    text = ". ".join(f"w{chr(97 + i)}rtle cream" for i in range(26))
    assert len(said(text).why) == 12
    assert RulesExtractor(max_phrases=0).read("", text).why == []
    with pytest.raises(ValueError, match="max_phrases"):
        RulesExtractor(max_phrases=17)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "😍😍💅🏽",
        "not",
        "'''",
        "Muy buena crema hidratante para la piel seca",
        "שמפו מצוין לשיער יבש",
        "\u202eشامبو رائع",
        "とても良いシャンプーです。",
        "बहुत अच्छा शैम्पू",
        "a" * 100_000,
        "not greasy cream, " * 6_000,
        "no " * 30_000,
        "ﷺ" * 20_000,
        "\x00\x07\ud800",
    ],
)
def test_odd_texts_stay_within_the_schema(text: str) -> None:
    found = said(text, title=text)
    assert ReviewKeywords.model_validate(found.model_dump()) == found


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300), st.text(max_size=50))
def test_any_text_stays_within_the_schema(text: str, title: str) -> None:
    found = said(text, title)
    assert ReviewKeywords.model_validate(found.model_dump()) == found


@settings(max_examples=150, deadline=None)
@given(REVIEWS, REVIEWS)
def test_case_does_not_matter_and_answers_repeat(text: str, title: str) -> None:
    found = said(text, title)
    assert said(text.upper(), title.title()) == found
    assert said(text, title) == found


@settings(max_examples=150, deadline=None)
@given(REVIEWS)
def test_a_sentence_about_nothing_removes_no_keyword(text: str) -> None:
    assert said(f"{text}. And that was that.") == said(f"{text}.")


def test_lexicon_keywords_fit_the_schema() -> None:
    keywords = [k for entries in load_lexicon().index.values() for e in entries for k in e.keywords]
    for keyword in keywords:
        for text in (keyword.text, keyword.negated):
            if text is not None:
                assert ReviewKeywords(who=[text], when=[], why=[]).who == [text]
    assert len(keywords) > 1_000
