"""The interface of keyword extractors, and the one function that runs any of them."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import polars as pl
from tqdm import tqdm

from beauty_rec.keywords.schema import ANSWER_SCHEMA, FACETS, KEYWORDS_SCHEMA, ReviewKeywords

BATCH_ROWS = 5_000


class Reviews:
    """Reviews to read, in their order, any number of times; only a batch is in memory.

    ``rows`` is their number.
    """

    def __init__(self, frame: pl.DataFrame | pl.LazyFrame) -> None:
        """Args: frame: ``review_id`` (unique), ``parent_asin``, ``title``, ``text``."""
        self._frame = frame.lazy().select("review_id", "parent_asin", "title", "text")
        self.rows = int(self._frame.select(pl.len()).collect().item())

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return iter(self._frame.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True))

    def ids(self) -> pl.DataFrame:
        """Return ``review_id`` and ``parent_asin`` of all."""
        return self._frame.select(pl.col("review_id", "parent_asin").cast(pl.String)).collect()


class KeywordExtractor(Protocol):
    """Reads reviews, answers with keywords."""

    @property
    def source(self) -> str:
        """Name and version, such as ``rules/1``; a new version means other answers."""

    def extract(self, reviews: Reviews) -> Iterator[pl.DataFrame]:
        """Yield one row of ``ANSWER_SCHEMA`` for each review, in any order, in frames of any size.

        An extractor that waits on a server is given all reviews at once, so that the server's batch
        stays full; it goes through them twice, first to ask, then to hand out what it stored.
        ``source`` may differ by row, where an extractor falls back on another.

        Args:
            reviews: ``title`` and ``text`` may be null: no text.
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


def extract_keywords(
    reviews: pl.DataFrame | pl.LazyFrame, extractor: KeywordExtractor
) -> pl.DataFrame:
    """Return the keywords of every review, in the order of ``reviews``.

    Args:
        reviews: ``review_id`` (unique), ``parent_asin``, ``title``, ``text``; of a lazy frame only
            a batch is held at a time.
        extractor: what reads them.

    Returns:
        A frame of ``KEYWORDS_SCHEMA`` with as many rows as ``reviews``.

    Raises:
        ValueError: a column is missing, a ``review_id`` is repeated, or the extractor left a
            review out, answered one twice, or answered one that it was not asked.
    """
    columns = reviews.lazy().collect_schema().names()
    if missing := {"review_id", "parent_asin", "title", "text"} - set(columns):
        raise ValueError(f"reviews lack the columns {sorted(missing)}")
    stream = Reviews(reviews)
    asked = stream.ids()
    if asked["review_id"].n_unique() < stream.rows:
        raise ValueError("reviews repeat a review_id; deduplicate them first")
    given = pl.concat([pl.DataFrame(schema=ANSWER_SCHEMA), *extractor.extract(stream)])
    unanswered = asked["review_id"].filter(~asked["review_id"].is_in(given["review_id"].implode()))
    if len(unanswered):
        raise ValueError(
            f"{extractor.source} left out {len(unanswered)} reviews, first {unanswered[0]!r}"
        )
    if given.height != stream.rows:
        raise ValueError(
            f"{extractor.source} gave {given.height} answers for {stream.rows} reviews"
        )
    ordered = asked.join(given, on="review_id", how="left", maintain_order="left")
    return ordered.select(pl.col(name).cast(kind) for name, kind in KEYWORDS_SCHEMA.items())


def read_batches(reviews: Reviews, label: str) -> Iterator[pl.DataFrame]:
    """Yield the batches of ``reviews`` under a progress bar."""
    with tqdm(total=reviews.rows, desc=label, unit="review", disable=None) as bar:
        for batch in reviews:
            yield batch
            bar.update(batch.height)
