"""Events of the past, answered by the answer path: what is learned from, and what is measured."""

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.events.arrays import Events
from beauty_rec.events.folds import draw
from beauty_rec.ranking.features.build import Query
from beauty_rec.ranking.features.frames import queries_from
from beauty_rec.recommender.candidates import find_candidates
from beauty_rec.recommender.offline.asks import event_asks
from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.offline.shelves import Shelf
from beauty_rec.recommender.path import tower_reads

Scenario = Literal["with_text", "without_text", "review_text"]
GIVEN = 0.7
"""Share of the train events whose text is given; the others learn to do without."""


def scenarios_of(reviews: pl.DataFrame, reads_texts: bool = False) -> tuple[Scenario, ...]:
    """Return how the events of some data can be asked.

    ``with_text`` asks for the event's context, or in the words of its review where the data have
    no contexts; with contexts, the words of the reviews are a scenario of their own, unless they
    are the contexts (``reads_texts``).
    """
    contexts, texts = has_contexts(reviews), bool((reviews["text"].str.len_chars() > 0).any())
    found: list[Scenario] = ["without_text"]
    if contexts or texts:
        found.insert(0, "with_text")
    if contexts and texts and not reads_texts:
        found.append("review_text")
    return tuple(found)


def has_contexts(reviews: pl.DataFrame) -> bool:
    """Whether any event has a context."""
    return bool(reviews["context"].is_not_null().any())


def asked_events(
    events: pl.DataFrame, reviews: pl.DataFrame, scenario: Scenario, min_chars: int
) -> pl.DataFrame:
    """Return the events that can be asked in a scenario; ``context`` is the text of each.

    Args:
        events: of :func:`~beauty_rec.events.asked.split_events`.
        reviews: with the texts of the events.
        scenario: how they are asked.
        min_chars: of a review that asks; a shorter one says nothing.
    """
    if scenario == "without_text":
        return events.with_columns(context=pl.lit(None, dtype=pl.String))
    if scenario == "review_text" or not has_contexts(reviews):
        text = reviews.select("review_id", context=pl.col("text").str.strip_chars())
        events = events.drop("context").join(
            text, on="review_id", how="left", maintain_order="left"
        )
        return events.filter(pl.col("context").str.len_chars() >= min_chars)
    return events.filter(pl.col("context").str.strip_chars().str.len_chars() > 0)


def split_lists(
    shelf: Shelf,
    events: pl.DataFrame,
    reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    texts: Vectors,
    scenario: Scenario,
    depth: int,
    known: Events | None = None,
    gone: NDArray[np.int64] | None = None,
) -> CandidateLists:
    """Return the candidates of every event in one scenario.

    Args:
        shelf: what is asked.
        events: of :func:`asked_events`.
        reviews: rows of split_reviews that histories may reach into.
        profiles: ``user_profiles``.
        texts: unit vectors of the events' texts, by text.
        scenario: how they are asked.
        depth: candidates of each source.
        known: the events of ``reviews`` and the shelf's items, where they have been read before.
        gone: rows that nobody is to be answered with.
    """
    reads = np.array(
        [
            shelf.asks_by_text and tower_reads(text, shelf.table, shelf.reads_texts)
            for text in events["context"]
        ],
        dtype=bool,
    )
    asks = event_asks(events, reviews, profiles, shelf.tower, shelf.space, texts, reads, known)
    found = find_candidates(shelf.sources, asks, shelf.space, depth, gone=gone)
    names = [source.name for source in shelf.sources]
    return CandidateLists.of(events["review_id"].to_list(), scenario, found, shelf.space.ids, names)


def given_texts(events: pl.DataFrame, seed: int) -> Iterator[tuple[Scenario, pl.DataFrame]]:
    """Yield train events by scenario: the text of a share of them is kept, that of others dropped.

    The draw is a hash of ``(seed, review_id)``, so an event more or less moves no other.
    """
    given = np.array([draw(f"{seed}\0text", n) < GIVEN for n in events["review_id"]], dtype=bool)
    given &= (events["context"].fill_null("").str.strip_chars() != "").to_numpy()
    yield "with_text", events.filter(pl.Series(given, dtype=pl.Boolean))
    bare = events.filter(pl.Series(~given, dtype=pl.Boolean))
    yield "without_text", bare.with_columns(context=pl.lit(None, dtype=pl.String))


def hits_of(lists: CandidateLists, answers: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which candidates are the answer of their event, bool ``[N]``.

    Args:
        lists: N candidates.
        answers: ``review_id, parent_asin`` of the events.
    """
    answer_of = dict(answers.select("review_id", "parent_asin").iter_rows())
    answer = pl.Series([answer_of[name] for name in lists.review_ids], dtype=pl.Categorical)
    return (lists.items == answer[lists.ask]).to_numpy()


def queries_of(
    lists: CandidateLists, events: Mapping[Scenario, pl.DataFrame], profiles: pl.DataFrame
) -> list[Query]:
    """Return the query of each ask.

    Args:
        lists: Q asks.
        events: of :func:`asked_events`, by scenario.
        profiles: ``user_profiles``.
    """
    known = {
        (scenario, name): query
        for scenario, frame in events.items()
        for name, query in zip(frame["review_id"], queries_from(frame, profiles), strict=True)
    }
    return [known[key] for key in zip(lists.scenarios, lists.review_ids, strict=True)]  # type: ignore[index]
