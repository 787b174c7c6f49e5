"""(query, item text) pairs for fine-tuning, leave-one-out.

The positive of a review's query is its item's text built without that review's own keywords: a
model that learns to match a review with itself learns what no future query can use.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
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
    builder = ItemTextBuilder(
        items, attributes, train_keywords, text_settings, _remembered(count_tokens)
    )
    queries = _queries(train_reviews, train_keywords, settings)
    digests = np.fromiter(map(_digest, queries["review_id"]), np.uint64, queries.height)
    ends = queries.group_by("parent_asin", maintain_order=True).len()["len"].cum_sum().to_list()
    chosen: list[int] = []
    for start, end in tqdm(
        pairwise([0, *ends]), "near duplicates", len(ends), unit="item", disable=None
    ):
        part = queries["query"][start:end].to_list()
        kept = [start + row for row in without_near_duplicates(part, settings.near_duplicate)]
        kept.sort(key=digests.__getitem__)
        chosen += kept[: settings.max_pairs_per_item]
    rows = np.array(chosen, dtype=np.int64)
    drawn = rows[np.lexsort((queries["query"][rows].rank("dense").to_numpy(), digests[rows]))]
    wanted = len(drawn) if settings.max_pairs is None else settings.max_pairs
    frame = _with_texts(queries[drawn], builder, wanted)
    return frame.sort("parent_asin", "review_id", "query")


def _with_texts(queries: pl.DataFrame, builder: ItemTextBuilder, wanted: int) -> pl.DataFrame:
    """Return the first ``wanted`` pairs whose item has a text without the query's review.

    The texts of an item are built one after the other, since they share most of their parts.
    """
    done, found = 0, pl.DataFrame(schema=PAIRS_SCHEMA)
    with tqdm(total=queries.height, desc="training pairs", unit="pair", disable=None) as bar:
        while done < queries.height and found.height < wanted:
            part = queries[done : done + wanted - found.height].sort("parent_asin")
            done += part.height
            texts = []
            for asin, review_id in part.select("parent_asin", "review_id").iter_rows():
                texts.append(builder.text(asin, without=review_id))
                bar.update()
            part = part.with_columns(positive=pl.Series(texts, dtype=pl.String))
            found = pl.concat([found, part.filter(pl.col("positive") != "").select(*PAIRS_SCHEMA)])
    return found


def _remembered(count_tokens: CountTokens) -> CountTokens:
    """Return a counter that knows the texts of late: an item's title stands in all its texts."""
    one = lru_cache(4096)(lambda text: count_tokens([text])[0])
    return lambda texts: [one(texts[0])] if len(texts) == 1 else count_tokens(texts)


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
