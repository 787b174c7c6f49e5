"""Ranking of an item's keywords."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.items.keyword_ranking import WordBackground, rank_keywords, words

REVIEWS = st.lists(
    st.lists(st.text("ab c-", min_size=0, max_size=6), max_size=4), min_size=1, max_size=6
)


def background_of(reviews: list[list[str]]) -> WordBackground:
    return WordBackground(
        [word for keyword in review for word in words(keyword)] for review in reviews
    )


def test_words_are_distinct_and_case_folded() -> None:
    assert words("Don't buy; DON'T 2-in-1 buy") == ("don't", "buy", "2", "in", "1")


def test_rare_words_stand_before_common_ones() -> None:
    corpus = [["love it"]] * 50 + [["magnetic lashes", "love it"]]
    assert rank_keywords(corpus[-1:], background_of(corpus)) == ["magnetic lashes", "love it"]


def test_what_many_reviewers_of_the_item_say_stands_first() -> None:
    item = [["sticky glue", "blue box"], ["glue sticky mess"], ["glue too sticky"]]
    corpus = item + [["x"]] * 30
    ranked = rank_keywords(item, background_of(corpus))
    assert ranked.index("glue too sticky") < ranked.index("blue box")


def test_keywords_that_differ_in_case_only_count_once() -> None:
    assert rank_keywords([["Dry Skin", "dry skin!"]], background_of([[], []])) == ["Dry Skin"]


def test_a_keyword_within_a_better_one_is_left_out() -> None:
    corpus = [["dry"], ["dry itchy scalp"], ["x"], ["x"]]
    assert rank_keywords([["dry", "dry itchy scalp"]], background_of(corpus)) == ["dry itchy scalp"]


@given(REVIEWS)
@settings(max_examples=60)
def test_ranking_agrees_with_a_slow_reference(reviews: list[list[str]]) -> None:
    corpus = [*reviews, ["a"], ["b c"]]

    def df(word: str) -> int:
        return sum(any(word in words(k) for k in review) for review in corpus)

    def tf(word: str) -> int:
        return sum(any(word in words(k) for k in review) for review in reviews)

    def score(key: tuple[str, ...]) -> float:
        total = sum((1 + math.log(tf(w))) * math.log((1 + len(corpus)) / (1 + df(w))) for w in key)
        return total / (len(key) + 1)

    forms: dict[tuple[str, ...], str] = {}
    for review in reviews:
        for keyword in review:
            if words(keyword):
                forms.setdefault(words(keyword), keyword)
    expected: list[tuple[str, ...]] = []
    for key in sorted(forms, key=score, reverse=True):
        if not any(set(key) <= set(other) for other in expected):
            expected.append(key)
    assert rank_keywords(reviews, background_of(corpus)) == [forms[key] for key in expected]
