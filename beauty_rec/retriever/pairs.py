"""(query, item text) pairs for fine-tuning, leave-one-out.

The positive of a review's query is its item's text built without that review's own keywords: a
model that learns to match a review with itself learns what no future query can use.
"""

import hashlib
from collections.abc import Iterable, Sequence

import polars as pl
from tqdm import tqdm

from beauty_rec.items.keyword_ranking import words
from beauty_rec.items.text import CountTokens, ItemTextBuilder, keyword_query
from beauty_rec.settings import ItemTextSettings, PairSettings

PAIRS_SCHEMA = {
    "query": pl.String,
    "positive": pl.String,
    "parent_asin": pl.String,
    "review_id": pl.String,
}
_SHINGLE_WORDS = 3
_SKETCH = 4


def training_pairs(
    train_reviews: pl.DataFrame,
    train_keywords: pl.DataFrame,
    items: pl.DataFrame,
    settings: PairSettings,
    text_settings: ItemTextSettings,
    count_tokens: CountTokens,
    attributes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return ``query, positive, parent_asin, review_id``, sorted by the last two and the query.

    Left out: reviews rated below ``min_rating``, short queries, near-duplicate queries of the same
    item, pairs whose item text is empty without the review, and what is beyond
    ``max_pairs_per_item`` and ``max_pairs`` (drawn by the hash of the review id).

    Args:
        train_reviews: ``review_id``, ``parent_asin``, ``rating``, ``text`` of the train split only.
        train_keywords: ``review_id``, ``parent_asin``, ``who``, ``when``, ``why``.
        items: raw_items (``parent_asin``, ``title``, ``features``).
        settings, text_settings: thresholds; the item text's budget.
        count_tokens: of the encoder to be tuned.
        attributes: ``parent_asin``, ``summary``, if there are any.
    """
    builder = ItemTextBuilder(items, attributes, train_keywords, text_settings, count_tokens)
    queries = _queries(train_reviews, train_keywords, settings)
    rows: list[tuple[str, str, str, str]] = []
    groups = queries.partition_by("parent_asin", maintain_order=True)
    for group in tqdm(groups, desc="training pairs", unit="item", disable=None):
        kept = without_near_duplicates(group["query"].to_list(), settings.near_duplicate)
        chosen = sorted(kept, key=lambda row: _digest(group["review_id"][row]))
        for row in chosen[: settings.max_pairs_per_item]:
            query, asin, review_id = group.select("query", "parent_asin", "review_id").row(row)
            positive = builder.text(asin, without=review_id)
            if positive:
                rows.append((query, positive, asin, review_id))
    rows.sort(key=lambda row: (_digest(row[3]), row))
    frame = pl.DataFrame(rows[: settings.max_pairs], schema=PAIRS_SCHEMA, orient="row")
    return frame.sort("parent_asin", "review_id", "query")


def without_near_duplicates(queries: Sequence[str], threshold: float) -> list[int]:
    """Return the positions of the queries to keep: the first of every near-identical set.

    Two queries are near-identical when their words are the same, or when the Jaccard similarity of
    their 3-word shingles is at least ``threshold``. Only queries that share one of their four
    smallest shingle hashes are compared (a sketch after Broder 1997), so the cost stays about
    linear.
    """
    kept: list[int] = []
    shingles: dict[int, frozenset[int]] = {}
    by_hash: dict[int, list[int]] = {}
    for position, query in enumerate(queries):
        own = _shingles(query)
        sketch = sorted(own)[:_SKETCH]
        rivals = {rival for value in sketch for rival in by_hash.get(value, [])}
        if any(_jaccard(own, shingles[rival]) >= threshold for rival in rivals):
            continue
        kept.append(position)
        shingles[position] = own
        for value in sketch:
            by_hash.setdefault(value, []).append(position)
    return kept


def _queries(reviews: pl.DataFrame, keywords: pl.DataFrame, settings: PairSettings) -> pl.DataFrame:
    """Return ``review_id, parent_asin, query`` by item; texts stand before keywords."""
    liked = reviews.filter(pl.col("rating") >= settings.min_rating)
    frames = []
    if settings.query_type in ("review_text", "both"):
        frames.append(liked.select("review_id", "parent_asin", query=pl.col("text")))
    if settings.query_type in ("keywords", "both"):
        said = keywords.select("review_id", query=keyword_query())
        frames.append(
            liked.select("review_id", "parent_asin").join(said, on="review_id", how="inner")
        )
    return (
        pl.concat([frame.select("review_id", "parent_asin", "query") for frame in frames])
        .filter(pl.col("query").str.len_chars() >= settings.min_query_chars)
        .sort("parent_asin", "review_id", maintain_order=True)
    )


def _shingles(text: str) -> frozenset[int]:
    own = tuple(words_in_order(text))
    count = max(1, len(own) - _SHINGLE_WORDS + 1)
    return frozenset(_digest(" ".join(own[i : i + _SHINGLE_WORDS])) for i in range(count))


def words_in_order(text: str) -> Iterable[str]:
    """Yield the case-folded words of a text, repeats included."""
    return (word for chunk in text.split() for word in words(chunk))


def _digest(text: str) -> int:
    """Return a 64-bit hash that is the same on every run (Python's own is salted)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _jaccard(left: frozenset[int], right: frozenset[int]) -> float:
    return len(left & right) / len(left | right)
