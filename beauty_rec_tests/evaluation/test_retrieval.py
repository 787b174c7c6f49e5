"""Held-out reviews ask with their text and with their keywords; every method ranks the answers."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation import retrieval
from beauty_rec.evaluation.baselines import BM25
from beauty_rec.evaluation.retrieval import (
    JUDGED_QUERIES,
    KEYWORDS,
    REVIEW_TEXT,
    TIES,
    retrieval_queries,
    retrieval_ranks,
    retrieval_sections,
    validation_recall,
)
from beauty_rec.keywords.schema import KEYWORDS_SCHEMA
from beauty_rec.settings import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap_samples=100)
ITEMS = pl.DataFrame(
    {"parent_asin": ["A", "B"], "text": ["gentle cream for dry skin", "strong hair dryer"]}
)
ONE_HOT = Vectors(["A", "B"], np.eye(2, dtype=np.float32))


@pytest.fixture
def reviews() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "review_id": ["r1", "r2", "r3", "r4"],
            "parent_asin": ["A", "A", "B", "C"],
            "text": ["my dry skin likes this cream"] * 2
            + ["short", "this item has no text at all"],
            "split": ["train", "test", "test", "test"],
        }
    )


@pytest.fixture
def keywords() -> pl.DataFrame:
    rows = [
        ("r2", "A", [], ["at night"], ["dry skin", "cream"], "rules/1"),
        ("r3", "B", ["my son"], [], [], "rules/1"),
        ("r4", "C", [], [], [], "rules/1"),
    ]
    return pl.DataFrame(rows, schema=KEYWORDS_SCHEMA, orient="row")


def test_a_review_asks_with_its_text_and_with_its_keywords(
    reviews: pl.DataFrame, keywords: pl.DataFrame
) -> None:
    asked = retrieval_queries(reviews, keywords, "test", SETTINGS)
    assert asked[REVIEW_TEXT]["review_id"].to_list() == ["r2", "r4"]  # r3 says too little
    assert dict(asked[KEYWORDS].select("review_id", "query").iter_rows()) == {
        "r2": "dry skin; cream; at night",
        "r3": "my son",
    }


class Spelling:
    """An encoder by the numbers that texts end with; it counts what it is given."""

    items = queries = 0

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.queries = len(texts)
        return self._vectors(texts)

    def encode_items(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.items = len(texts)
        return self._vectors(texts)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        angles = np.array([float(text.split()[-1]) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_early_stopping_looks_at_a_part_of_a_large_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cost is bounded, the answers are always among the items, and a stranger is not found."""
    monkeypatch.setattr(retrieval, "JUDGED_QUERIES", 20)
    monkeypatch.setattr(retrieval, "JUDGED_ITEMS", 50)
    items = pl.DataFrame({"parent_asin": [f"{n:04}" for n in range(300)]}).with_columns(
        text="item " + pl.col("parent_asin").cast(pl.Float64).truediv(100).cast(pl.String)
    )
    chosen = items[::3].rename({"text": "query"})  # each asks for itself
    encoder = Spelling()
    assert validation_recall(encoder, chosen, items, k=1) == 1.0 + TIES
    assert (encoder.queries, encoder.items) == (20, 50)
    strangers = chosen.with_columns(parent_asin=pl.lit("none"))
    assert validation_recall(encoder, strangers, items, k=1) == 0.0
    small = items[:40]
    assert validation_recall(encoder, small[:5].rename({"text": "query"}), small, k=1) == 1.0 + TIES
    assert (encoder.queries, encoder.items) == (5, 40)


def test_where_every_encoder_finds_all_the_better_order_is_better() -> None:
    """A shop of a hundred items would otherwise never keep what it has learned."""
    items = pl.DataFrame({"parent_asin": [f"{n:04}" for n in range(40)]}).with_columns(
        text="item " + pl.col("parent_asin").cast(pl.Float64).truediv(100).cast(pl.String)
    )
    queries = items.rename({"text": "query"})
    wrong = queries.with_columns(pl.col("parent_asin").reverse())
    best, worse = (validation_recall(Spelling(), asked, items) for asked in (queries, wrong))
    assert 1 < worse < best < 1 + 1 / JUDGED_QUERIES


def test_the_cap_of_a_split_holds_for_either_kind(
    reviews: pl.DataFrame, keywords: pl.DataFrame
) -> None:
    capped = SETTINGS.model_copy(update={"max_queries": 1, "train_queries": 1})
    asked = retrieval_queries(reviews, keywords, "test", capped)
    assert {kind: queries.height for kind, queries in asked.items()} == {
        REVIEW_TEXT: 1,
        KEYWORDS: 1,
    }


@pytest.mark.parametrize("split", ["train", "test"])
def test_keywords_ask_up_to_a_cap_of_their_own(split: str) -> None:
    texts = [f"a text of some length, number {row}" for row in range(60)]
    reviews = pl.DataFrame(
        {"review_id": texts, "parent_asin": texts, "text": texts, "split": split}
    )
    keywords = pl.DataFrame({"review_id": texts, "parent_asin": texts})
    keywords = keywords.with_columns(
        pl.lit(["mint"]).alias(name) for name in ("who", "when", "why")
    )
    for most in (7, 30):
        # How many of train are asked by their texts says nothing of the keywords of other splits.
        some = SETTINGS.model_copy(update={"keyword_queries": most, "train_queries": 40})
        asked = retrieval_queries(reviews, keywords, split, some)  # type: ignore[arg-type]
        assert asked[KEYWORDS].height == most
        assert asked[REVIEW_TEXT].height == (40 if split == "train" else 60)


def test_sections_are_of_their_own_queries(reviews: pl.DataFrame, keywords: pl.DataFrame) -> None:
    asked = retrieval_queries(reviews, keywords, "test", SETTINGS)
    first = np.array([1.0, 0.0], dtype=np.float32)
    lexical = BM25(ITEMS["text"].to_list())
    ranks = pl.concat(
        retrieval_ranks(
            queries,
            reviews,
            ITEMS,
            lexical,
            dict.fromkeys(
                ("base_encoder", "text_retriever"), (np.tile(first, (queries.height, 1)), ONE_HOT)
            ),
        ).with_columns(query_type=pl.lit(kind))
        for kind, queries in asked.items()
    )
    sections = retrieval_sections(ranks, SETTINGS)
    assert list(sections[REVIEW_TEXT]) == ["popularity", "bm25", "base_encoder", "text_retriever"]
    assert list(sections[KEYWORDS]) == ["bm25", "base_encoder", "text_retriever"]
    # By text: A is found first, C has no text and comes last. By keywords: A first, B second.
    assert sections[REVIEW_TEXT]["text_retriever"]["answerable"]["share"] == 0.5
    assert sections[KEYWORDS]["text_retriever"]["answerable"]["share"] == 1
    assert sections[KEYWORDS]["text_retriever"]["mrr"] == pytest.approx((1 + 1 / 2) / 2)
    assert set(sections[KEYWORDS]["text_retriever"]["versus"]) == {"bm25", "base_encoder"}
    for blocks in retrieval_sections(ranks, SETTINGS, held_out=False).values():
        assert not any("versus" in block for block in blocks.values())  # of train nothing is tested


def test_a_split_without_keywords_has_a_section_of_no_queries(reviews: pl.DataFrame) -> None:
    nothing = pl.DataFrame(schema=KEYWORDS_SCHEMA)
    assert retrieval_queries(reviews, nothing, "valid", SETTINGS)[KEYWORDS].is_empty()
