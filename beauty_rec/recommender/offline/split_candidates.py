"""Candidates of a split: each event asked as a shopper would, of what was known at its time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.events.arrays import read_events
from beauty_rec.events.asked import known_events
from beauty_rec.events.folds import fold_of, starts_of
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.offline.scenarios import (
    asked_events,
    given_texts,
    hits_of,
    scenarios_of,
    split_lists,
)
from beauty_rec.recommender.offline.shelves import fold_shelf, served_shelf
from beauty_rec.recommender.said import REFERENCE
from beauty_rec.recommender.sources import KINDS, SOURCES
from beauty_rec.retriever.contexts import EncodesContexts, context_vectors
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.settings import Settings, Split
from beauty_rec.towers.past.stored import PastItems


@dataclass(frozen=True)
class SplitInputs:
    """What events of any split are asked with."""

    split_reviews: pl.DataFrame
    profiles: pl.DataFrame
    knowledge: ItemKnowledge
    item_texts: Vectors
    past: PastItems
    settings: Settings


def split_candidates(
    inputs: SplitInputs,
    split: Split,
    user_tower: Path,
    item_index: Path,
    words: ItemWords,
    encoder: EncodesContexts,
    hidden: Collection[str] = (),
) -> CandidateLists:
    """Return the candidates of a split's events in every scenario.

    Args:
        inputs: reviews, profiles and what is known of the items.
        split: whose events. Those of train are asked once, with their text or without it, of the
            tower and the items of before their fold.
        user_tower, item_index: folders.
        words: of the items' texts and titles.
        encoder: of the asks' texts.
        hidden: ids of items that are never shown: no candidate of valid and test, and no score is
            held against theirs. In train they are learned from.
    """
    settings = inputs.settings
    reviews, events = known_events(inputs.split_reviews, split, settings, user_tower)
    if split == "train":
        return _of_folds(inputs, reviews, events, user_tower, encoder)
    table = inputs.knowledge.table()
    shelf = served_shelf(
        user_tower, item_index, inputs.item_texts, words, table, settings.reads_texts
    )
    rows = shelf.space.rows(sorted(hidden))
    gone = rows[rows >= 0]
    least = settings.evaluation.min_query_chars
    asked = {
        scenario: asked_events(events, reviews, scenario, least)
        for scenario in scenarios_of(reviews, settings.reads_texts)
    }
    texts = context_vectors(encoder, pl.concat([part["context"] for part in asked.values()]))
    most = settings.ranking.max_user_events
    found, known = [], read_events(reviews, shelf.space.ids, max_user_events=most)
    for scenario, part in asked.items():
        found.append(
            split_lists(
                shelf, part, reviews, inputs.profiles, texts, scenario, settings.ranking.depth,
                known, gone,
            )
        )  # fmt: skip
    return CandidateLists.joined(found)


def _of_folds(
    inputs: SplitInputs,
    reviews: pl.DataFrame,
    events: pl.DataFrame,
    user_tower: Path,
    encoder: EncodesContexts,
) -> CandidateLists:
    settings, found = inputs.settings, []
    texts = context_vectors(encoder, events["context"])
    items = reviews["parent_asin"].unique().sort().to_list()
    known = read_events(reviews, items, max_user_events=settings.ranking.max_user_events)
    past = inputs.past
    for start, inside in fold_of(events, starts_of(user_tower)):
        shelf = fold_shelf(
            user_tower,
            start,
            reviews,
            inputs.profiles,
            past.vectors(start),
            past.texts(start),
            inputs.knowledge.table(start),
            settings.reads_texts,
        )
        then = known.of_items(shelf.space.ids)
        for scenario, asked in given_texts(inside, settings.evaluation.seed):
            found.append(
                split_lists(
                    shelf, asked, reviews, inputs.profiles, texts, scenario, settings.ranking.depth,
                    then,
                )
            )  # fmt: skip
    return CandidateLists.joined(found)


def found_shares(lists: CandidateLists, reviews: pl.DataFrame) -> dict[str, float]:
    """Return the share of asks whose answer each source has among its candidates, by scenario."""
    hits = hits_of(lists, reviews)
    shares: dict[str, float] = {}
    scenarios: Sequence[str] = list(dict.fromkeys(lists.scenarios))
    of_ask = np.array(lists.scenarios, dtype=object)
    for scenario in scenarios:
        asks = of_ask == scenario
        mine = hits & asks[lists.ask]
        total = max(1, int(asks.sum()))
        shares[f"{scenario} found"] = float(mine.sum() / total)
        for column, name in enumerate(SOURCES):
            found = int(_found_by(lists, column, np.flatnonzero(mine)).sum())
            shares[f"{scenario} found by {name}"] = found / total
    return shares


def _found_by(lists: CandidateLists, column: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows of the lists a source has among its candidates."""
    own = lists.scores[rows, column]
    best, last = lists.tops[lists.ask[rows], column].T
    found: NDArray[np.bool_] = own >= last
    if hasattr(KINDS[column], "alike"):  # of its best it has those that the user tower likes most
        tower = SOURCES.index("user_tower")
        for number in np.flatnonzero(found & (own == best)):
            ask = lists.ask[rows[number]]
            table = lists.scores[slice(*np.searchsorted(lists.ask, [ask, ask + 1]))]
            others = (table[:, column] >= last[number]) & (table[:, column] < best[number])
            above = (table[:, column] == best[number]) & (
                table[:, tower] > lists.scores[rows[number], tower]
            )
            found[number] = above.sum() < REFERENCE - others.sum()
    return found
