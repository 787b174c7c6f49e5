import asyncio
from collections.abc import Iterator

import polars as pl
import pytest

from beauty_rec.keywords.extractor import (
    KeywordExtractor,
    Reviews,
    answers,
    extract_keywords,
)
from beauty_rec.keywords.rules import RulesExtractor
from beauty_rec.keywords.schema import ANSWER_SCHEMA, KEYWORDS_SCHEMA, ReviewKeywords


def reviews(n: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "review_id": [f"r{i:03d}" for i in range(n)],
            "parent_asin": [f"B{i % 7}" for i in range(n)],
            "title": [None if i % 5 == 0 else f"Scrub {i}" for i in range(n)],
            "text": ["Not greasy, for my son in winter" if i % 2 else "" for i in range(n)],
        },
        schema_overrides={"title": pl.String},
    )


class Asynchronous:
    """Answers out of order, from its store where it can, as a language model's client would."""

    source = "echo/1"

    def __init__(self) -> None:
        self.store: dict[str, ReviewKeywords] = {}
        self.asked = 0

    def extract(self, reviews: Reviews) -> Iterator[pl.DataFrame]:
        asked = reviews.ids()["review_id"].to_list()

        async def ask(review_id: str) -> None:
            await asyncio.sleep(0)
            self.asked += 1
            self.store[review_id] = ReviewKeywords(who=[review_id], when=[], why=[])

        async def ask_all() -> None:
            await asyncio.gather(*(ask(r) for r in asked if r not in self.store))

        asyncio.run(ask_all())
        ids = asked[::-1]
        yield answers(ids, [self.store[r] for r in ids], self.source)


def test_rules_answer_every_review_in_order() -> None:
    frame = reviews(23)
    extractor: KeywordExtractor = RulesExtractor()
    found = extract_keywords(frame, extractor)
    assert dict(found.schema) == KEYWORDS_SCHEMA
    assert found.select("review_id", "parent_asin").equals(frame.select("review_id", "parent_asin"))
    assert found.row(1, named=True) == {
        "review_id": "r001",
        "parent_asin": "B1",
        "who": ["son"],
        "when": ["winter"],
        "why": ["non-greasy"],
        "source": "rules/1",
    }
    assert found["who"][0].to_list() == []
    assert extract_keywords(frame.lazy(), extractor).equals(found)


def test_an_asynchronous_extractor_drops_in_and_resumes() -> None:
    frame, extractor = reviews(25), Asynchronous()
    found = extract_keywords(frame, extractor)
    assert found["who"].list.first().to_list() == frame["review_id"].to_list()
    assert extract_keywords(frame, extractor).equals(found)
    assert extractor.asked == 25


def test_no_reviews_give_no_keywords() -> None:
    found = extract_keywords(reviews(3).clear(), RulesExtractor())
    assert found.is_empty()
    assert dict(found.schema) == KEYWORDS_SCHEMA


class Forgetful(RulesExtractor):
    def read_frame(self, reviews: pl.DataFrame) -> pl.DataFrame:
        return super().read_frame(reviews)[1:]


class Repeating(RulesExtractor):
    def read_frame(self, reviews: pl.DataFrame) -> pl.DataFrame:
        found = super().read_frame(reviews)
        return pl.concat([found, found[:1]])


def test_faults_are_told() -> None:
    with pytest.raises(ValueError, match="left out 1 reviews, first 'r000'"):
        extract_keywords(reviews(3), Forgetful())
    with pytest.raises(ValueError, match="4 answers for 3 reviews"):
        extract_keywords(reviews(3), Repeating())
    with pytest.raises(ValueError, match="repeat"):
        extract_keywords(pl.concat([reviews(3), reviews(1)]), RulesExtractor())
    with pytest.raises(ValueError, match="parent_asin"):
        extract_keywords(reviews(3).drop("parent_asin"), RulesExtractor())


def test_answers_have_their_schema() -> None:
    assert dict(answers([], [], "x/1").schema) == ANSWER_SCHEMA
