"""What every stage has to beat: BM25 and item-to-item collaborative filtering.

Each learns from train events (or item texts) alone and returns ranks in full with mean ties.
``ids`` is the answer set; the columns of every score are its items, in its order.
"""

import bm25s
import numpy as np
import polars as pl
import Stemmer
from scipy.sparse import csr_array

from beauty_rec.evaluation.popularity import tie_breaker
from beauty_rec.events.arrays import MAX_USER_EVENTS, latest_of_users
from beauty_rec.events.places import item_lists, rows_of
from beauty_rec.ranking.features.co_purchase import Company
from beauty_rec.search.ranks import (
    Indices,
    Ranks,
    Scores,
    ranks_in_chunks,
    ranks_of_answers,
)


def item_similarity(train: pl.DataFrame, ids: list[str]) -> Company:
    """Return the train users of each item: by their cosine two items are alike.

    Of a user the latest events count, as of everybody whose past is read.
    """
    users = train["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
    near = latest_of_users(users, train["timestamp"].to_numpy(), MAX_USER_EVENTS)
    return Company.of(users[near], rows_of(train["parent_asin"], ids)[near], len(ids))


def item_cf_ranks(
    similarity: Company,
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
    backoff = tie_breaker(popularity)

    def of_rows(rows: slice) -> Ranks:
        mine = bought[rows]
        past = np.unique(mine.indices).astype(np.int64)
        scores = (mine[:, past] @ similarity.similar(past)).toarray()
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
