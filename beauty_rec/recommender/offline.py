"""Events of the past, answered by the answer path: what is learned from, and what is measured."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.candidates import find_candidates
from beauty_rec.recommender.events import event_asks
from beauty_rec.recommender.lists import CandidateLists
from beauty_rec.recommender.path import tower_reads
from beauty_rec.recommender.sources import AnySource
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.towers.users.served import ServedUserTower

Scenario = Literal["with_text", "without_text", "review_text"]
GIVEN = 0.7
"""Share of the train events whose text is given; the others learn to do without."""


def scenarios_of(reviews: pl.DataFrame) -> tuple[Scenario, ...]:
    """Return how the events of some data can be asked.

    ``with_text`` asks for the event's context, or in the words of its review where the data have
    no contexts; with contexts, the words of the reviews are a scenario of their own.
    """
    contexts = reviews["context"].drop_nulls().len() > 0
    texts = bool((reviews["text"].str.len_chars() > 0).any())
    found: list[Scenario] = ["with_text"] if contexts or texts else []
    return (*found, "without_text", *(("review_text",) if contexts and texts else ()))  # type: ignore[return-value]


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
    if scenario == "review_text" or not reviews["context"].drop_nulls().len():
        text = reviews.select("review_id", context=pl.col("text").str.strip_chars())
        events = events.drop("context").join(
            text, on="review_id", how="left", maintain_order="left"
        )
        return events.filter(pl.col("context").str.len_chars() >= min_chars)
    return events.filter(pl.col("context").str.strip_chars().str.len_chars() > 0)


@dataclass(frozen=True)
class Shelf:
    """What events are asked of: the items as they stood at a moment, and what finds them.

    Attributes:
        table: what was known of the items.
        reads_texts: the tower was trained with free texts, not with occasions alone.
    """

    space: ItemSpace
    tower: ServedUserTower
    sources: Sequence[AnySource]
    table: ItemTable
    reads_texts: bool


def split_lists(
    shelf: Shelf,
    events: pl.DataFrame,
    reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    texts: Vectors,
    scenario: Scenario,
    depth: int,
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
    """
    reads = np.array(
        [tower_reads(text, shelf.table, shelf.reads_texts) for text in events["context"]],
        dtype=bool,
    )
    asks = event_asks(events, reviews, profiles, shelf.tower, shelf.space, texts, reads)
    found = find_candidates(shelf.sources, asks, shelf.space, depth)
    names = [source.name for source in shelf.sources]
    return CandidateLists.of(events["review_id"].to_list(), scenario, found, shelf.space.ids, names)


def given_texts(events: pl.DataFrame, seed: int) -> Iterator[tuple[Scenario, pl.DataFrame]]:
    """Yield train events by scenario: the text of a share of them is kept, that of others dropped.

    The draw is a hash of ``(seed, review_id)``, so an event more or less moves no other.
    """
    given = np.array([_draw(seed, name) < GIVEN for name in events["review_id"]], dtype=bool)
    given &= (events["context"].fill_null("").str.strip_chars() != "").to_numpy()
    yield "with_text", events.filter(pl.Series(given, dtype=pl.Boolean))
    bare = events.filter(pl.Series(~given, dtype=pl.Boolean))
    yield "without_text", bare.with_columns(context=pl.lit(None, dtype=pl.String))


def _draw(seed: int, name: str) -> float:
    digest = hashlib.blake2b(f"{seed}\0text\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def hits_of(lists: CandidateLists, answers: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which candidates are the answer of their event, bool ``[N]``.

    Args:
        lists: N candidates.
        answers: ``review_id, parent_asin`` of the events.
    """
    answer_of = dict(answers.select("review_id", "parent_asin").iter_rows())
    answer = pl.Series([answer_of[name] for name in lists.review_ids], dtype=pl.String)
    return (lists.items == answer[lists.ask]).to_numpy()
