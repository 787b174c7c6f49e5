"""What every stage has to beat: popularity, BM25, item-to-item collaborative filtering.

Each learns from train events (or item texts) alone and returns ranks in full with mean ties.
``ids`` is the answer set; the columns of every score are its items, in its order.
"""

import bm25s
import numpy as np
import polars as pl
import Stemmer
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import rankdata

from beauty_rec.events.places import item_lists, rows_of
from beauty_rec.ranking.features.co_purchase import co_purchase
from beauty_rec.search.ranks import (
    Indices,
    Ranks,
    Scores,
    ranks_in_chunks,
    ranks_of_answers,
)

RECENT_SHARE = 0.1


def popularity_scores(train: pl.DataFrame, ids: list[str]) -> Scores:
    """Return the number of train events of each item, float32 ``[N]``."""
    rows = rows_of(train["parent_asin"], ids)
    return np.bincount(rows[rows >= 0], minlength=len(ids)).astype(np.float32)


def recent_events(train: pl.DataFrame, share: float = RECENT_SHARE) -> pl.DataFrame:
    """Return the last ``share`` of train by time, with all events of the instant at the cut."""
    if not len(train):
        return train
    keep = max(1, round(len(train) * share))
    cut = train["timestamp"].sort(descending=True)[keep - 1]
    return train.filter(pl.col("timestamp") >= cut)


def ranks_of_static_scores(
    scores: Scores, answers: Indices, seen: csr_array | None = None
) -> Ranks:
    """Return ranks when every query sees the same scores ``[N]``, float64 ``[Q]``.

    Equals :func:`ranks_of_answers` on ``scores`` repeated for each query, in ``N log N`` steps: a
    seen item moves the answer up by one if it scored higher, by a half if it tied.

    Raises:
        ValueError: an answer outside 0..N-1.
    """
    if len(answers) and (answers.min() < 0 or answers.max() >= len(scores)):
        raise ValueError(f"answers must lie between 0 and {len(scores) - 1}")
    ranks = rankdata(-scores)[answers] if len(answers) else np.empty(0)
    if seen is None:
        return ranks
    marks = seen.astype(bool).tocoo()
    own = scores[answers[marks.row]]
    theirs = scores[marks.col]
    places = np.where(theirs > own, 1.0, np.where(theirs == own, 0.5, 0.0)) * marks.data
    return ranks - np.bincount(marks.row, weights=places, minlength=len(answers))


def context_popularity_ranks(
    train: pl.DataFrame,
    ids: list[str],
    contexts: pl.Series,
    answers: Indices,
    *,
    share: float = RECENT_SHARE,
    seen: csr_array | None = None,
) -> Ranks:
    """Return ranks by the recent train events of the query's own context, float64 ``[Q]``.

    Ties, and with them queries without a context or with an unknown one, are broken by recent
    popularity in all contexts, and what is still level by popularity in all of train.

    Args:
        train: train events with ``parent_asin, timestamp, context``.
        ids: the answer set, N items.
        contexts: context of each query, null for none.
        answers: position of each answer in ``ids``.
        share: how much of train is recent.
        seen: sparse ``[Q, N]``, items that leave the query's answer set.
    """
    recent = recent_events(train, share)
    known = recent.drop_nulls("context")
    names = known["context"].unique().sort().to_list()
    items = rows_of(known["parent_asin"], ids)
    inside = items >= 0
    counts = csr_array(
        (
            np.ones(inside.sum(), dtype=np.float32),
            (rows_of(known["context"], names)[inside], items[inside]),
        ),
        shape=(len(names) + 1, len(ids)),  # the last row, empty, is the unknown context
    )
    of_query = rows_of(contexts, names)
    of_query[of_query < 0] = len(names)
    backoff = _tie_breaker(popularity_scores(recent, ids), popularity_scores(train, ids))

    def of_rows(rows: slice) -> Ranks:
        scores = counts[of_query[rows]].toarray() + backoff
        return ranks_of_answers(scores, answers[rows], seen=None if seen is None else seen[rows])

    return ranks_in_chunks(of_rows, len(answers), len(ids))


def item_similarity(train: pl.DataFrame, ids: list[str]) -> csr_array:
    """Return the cosine of two items' sets of train users, sparse float32 ``[N, N]``, diagonal 0.

    See :func:`beauty_rec.ranking.features.co_purchase.co_purchase`.
    """
    users = train["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
    return co_purchase(users, rows_of(train["parent_asin"], ids), len(ids))


def item_cf_ranks(
    similarity: csr_array,
    history: pl.Series,
    ids: list[str],
    answers: Indices,
    *,
    popularity: Scores,
    seen: csr_array | None = None,
) -> Ranks:
    """Return ranks by summed similarity to the items of the history, float64 ``[Q]``.

    Items that no item of the history leads to (for a cold user: all) stand in the order of
    ``popularity`` ``[N]``.
    """
    bought = item_lists(history, ids)
    backoff = _tie_breaker(popularity)

    def of_rows(rows: slice) -> Ranks:
        scores = (bought[rows] @ similarity).toarray()
        scores = np.where(scores > 0, scores + 1, backoff).astype(np.float32)
        return ranks_of_answers(scores, answers[rows], seen=None if seen is None else seen[rows])

    return ranks_in_chunks(of_rows, len(answers), len(ids))


class BM25:
    """BM25 (Lucene's form, k1 1.5, b 0.75) over item texts, English stemming and stop words.

    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
    """

    def __init__(self, texts: list[str]) -> None:
        """Index ``texts``; item ``i`` is ``texts[i]``."""
        self._size = len(texts)
        self._stemmer = Stemmer.Stemmer("english")
        tokens = self._tokens(texts)
        self._index = bm25s.BM25() if any(tokens) else None
        if self._index is not None:
            self._index.index(tokens, show_progress=False)

    def scores(self, queries: list[str]) -> Scores:
        """Return float32 ``[Q, N]``; 0 where query and text share no word."""
        found = np.zeros((len(queries), self._size), dtype=np.float32)
        if self._index is None:
            return found
        for row, words in enumerate(self._tokens(queries)):
            known = self._index.get_tokens_ids(words)
            if len(known):
                found[row] = self._index.get_scores_from_ids(known)
        return found

    def ranks(
        self,
        queries: list[str],
        answers: Indices,
        answer_set_size: int,
        *,
        progress: str | None = None,
    ) -> Ranks:
        """Return the ranks of answers (-1: an item without a text), float64 ``[Q]``."""

        def of_rows(rows: slice) -> Ranks:
            return ranks_of_answers(
                self.scores(queries[rows]), answers[rows], answer_set_size=answer_set_size
            )

        return ranks_in_chunks(of_rows, len(queries), self._size, progress=progress)

    def _tokens(self, texts: list[str]) -> list[list[str]]:
        found: list[list[str]] = bm25s.tokenize(
            texts,
            stopwords="english",
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        return found


def _tie_breaker(*scores: Scores) -> NDArray[np.float32]:
    """Return values in [0, 1) that order items by the scores, the first deciding first.

    Equal items get equal values; whole-number scores plus these keep their own order.
    """
    order = np.unique(np.column_stack(scores), axis=0, return_inverse=True)[1].ravel()
    found: NDArray[np.float32] = (order / (order.max(initial=0) + 1)).astype(np.float32)
    return found
