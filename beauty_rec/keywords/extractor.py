"""The interface of keyword extractors, and the one function that runs any of them."""

from collections.abc import Sequence
from typing import Protocol

import polars as pl
from tqdm import tqdm

from beauty_rec.keywords.schema import ANSWER_SCHEMA, FACETS, KEYWORDS_SCHEMA, ReviewKeywords


class KeywordExtractor(Protocol):
    """Reads reviews, answers with keywords.

    An extractor that waits on a server does so inside :meth:`extract` (its own event loop, its own
    store of answers, so that a second call with the same reviews resumes), and asks for a
    ``batch_size`` that keeps its requests in flight.
    """

    @property
    def source(self) -> str:
        """Name and version, such as ``rules/1``; a new version means other answers."""

    @property
    def batch_size(self) -> int:
        """How many reviews :meth:`extract` wants at once."""

    def extract(self, reviews: pl.DataFrame) -> pl.DataFrame:
        """Return one row of ``ANSWER_SCHEMA`` for each review, in any order.

        ``source`` may differ by row, where an extractor falls back on another.

        Args:
            reviews: ``review_id``, ``title``, ``text`` and perhaps more; null text is no text.
        """


def answers(
    review_ids: Sequence[str], keywords: Sequence[ReviewKeywords], source: str
) -> pl.DataFrame:
    """Return the frame of ``ANSWER_SCHEMA`` of keywords in the order of ``review_ids``."""
    columns: dict[str, object] = {"review_id": list(review_ids)}
    for facet in FACETS:
        columns[facet] = [getattr(k, facet) for k in keywords]
    columns["source"] = [source] * len(keywords)
    return pl.DataFrame(columns, schema=ANSWER_SCHEMA)


def extract_keywords(reviews: pl.DataFrame, extractor: KeywordExtractor) -> pl.DataFrame:
    """Return the keywords of every review, in the order of ``reviews``.

    Args:
        reviews: ``review_id`` (unique), ``parent_asin``, ``title``, ``text``.
        extractor: what reads them, ``extractor.batch_size`` rows at a time.

    Returns:
        A frame of ``KEYWORDS_SCHEMA`` with as many rows as ``reviews``.

    Raises:
        ValueError: a column is missing, a ``review_id`` is repeated, or the extractor left a
            review out, answered one twice, or answered one that it was not asked.
    """
    if missing := {"review_id", "parent_asin", "title", "text"} - set(reviews.columns):
        raise ValueError(f"reviews lack the columns {sorted(missing)}")
    if reviews["review_id"].n_unique() < len(reviews):
        raise ValueError("reviews repeat a review_id; deduplicate them first")
    parts = [pl.DataFrame(schema=KEYWORDS_SCHEMA)]
    with tqdm(total=len(reviews), desc="keywords", unit="review", disable=None) as bar:
        for batch in reviews.iter_slices(extractor.batch_size):
            parts.append(_checked(batch, extractor.extract(batch), extractor.source))
            bar.update(len(batch))
    return pl.concat(parts)


def _checked(batch: pl.DataFrame, answer: pl.DataFrame, source: str) -> pl.DataFrame:
    asked = batch["review_id"].cast(pl.String)
    given = answer["review_id"]
    unanswered = asked.filter(~asked.is_in(given.implode()))
    if len(unanswered):
        raise ValueError(f"{source} left out {len(unanswered)} reviews, first {unanswered[0]!r}")
    if len(answer) != len(batch):
        raise ValueError(f"{source} gave {len(answer)} answers for {len(batch)} reviews")
    ordered = batch.select(pl.col("review_id", "parent_asin").cast(pl.String)).join(
        answer, on="review_id", how="left", maintain_order="left"
    )
    return ordered.select(pl.col(name).cast(kind) for name, kind in KEYWORDS_SCHEMA.items())
