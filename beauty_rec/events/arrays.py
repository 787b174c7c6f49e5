"""Events: the reviews as arrays, each with its user's earlier events as a slice.

A user's history is what lies strictly before an event in time: events of the same millisecond
(a basket, in day-stamped data) do not see one another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.events.extras import extra_columns
from beauty_rec.events.places import rows_of
from beauty_rec.settings import RankingSettings

DAY_MS = 86_400_000
"""Milliseconds of a day."""
MAX_TAG_VALUES = 20
"""A column of ``extras`` with more values than this is an open field, no tag."""
MAX_USER_EVENTS: int = RankingSettings.model_fields["max_user_events"].default
"""Of one user that a history reaches back, where nothing else is told."""
FIRST_EVENTS = 100
"""The earliest, by which an open field is known early."""


@dataclass(frozen=True)
class Events:
    """``n`` events in the order of the frame they came from. Codes are rows; -1 is "none".

    Attributes:
        item: int64 ``[n]``, row of ``item_ids``; -1 for an item that is not among them.
        user: int64 ``[n]``, row of ``users``.
        context: int64 ``[n]``, row of ``contexts``; -1 where the context is null or blank.
        rating: float32 ``[n]``, 1 to 5.
        time_ms: int64 ``[n]``, Unix milliseconds.
        tags: per further categorical column, int64 ``[n]`` codes of ``tag_values``.
        by_user: int64 ``[n]``, the events ordered by user, then time.
        start, end: int64 ``[n]``; ``by_user[start[i]:end[i]]`` is the history of event ``i``.
    """

    item_ids: list[str]
    users: list[str]
    contexts: list[str]
    item: NDArray[np.int64]
    user: NDArray[np.int64]
    context: NDArray[np.int64]
    rating: NDArray[np.float32]
    time_ms: NDArray[np.int64]
    tags: dict[str, NDArray[np.int64]]
    tag_values: dict[str, list[str]]
    by_user: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.item)

    def histories(self, rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
        """Return int64 ``[len(rows), L]``: each one's latest earlier events, oldest first.

        L is the longest of these histories, at most ``limit``. They end at the last column;
        -1 fills the places in front.
        """
        length = np.minimum(self.end[rows] - self.start[rows], limit)
        width = int(length.max(initial=0))
        back = np.arange(-width, 0)
        inside = back >= -length[:, None]
        found = self.by_user[np.where(inside, self.end[rows][:, None] + back, 0)]
        return np.where(inside, found, -1)

    def of_items(self, item_ids: list[str]) -> "Events":
        """Return the same events with the codes of other items; those left out are -1."""
        place = {name: code for code, name in enumerate(item_ids)}
        codes = np.array([*(place.get(name, -1) for name in self.item_ids), -1], dtype=np.int64)
        return replace(self, item_ids=item_ids, item=codes[self.item])

    def seen(self, row: int) -> NDArray[np.int64]:
        """Return the items (codes, -1 left out) of the history of event ``row``."""
        items = self.item[self.by_user[self.start[row] : self.end[row]]]
        return items[items >= 0]


def read_events(
    reviews: pl.DataFrame,
    item_ids: Sequence[str],
    tag_values: Mapping[str, list[str]] | None = None,
    max_user_events: int = MAX_USER_EVENTS,
) -> Events:
    """Return the events of ``reviews`` (columns of `raw_reviews`; ``extras`` may be absent).

    Args:
        reviews: the rows.
        item_ids: of the items that have a row.
        tag_values: further columns to read and their values, other values being none; by default
            those of ``extras`` that hold text, but for fields that are seen to be open. Whoever
            learns from some of the events has to choose among them by these alone.
        max_user_events: the latest earlier events of a user that are a history.

    Raises:
        ValueError: ``item_ids`` repeat.
    """
    if len(set(item_ids)) != len(item_ids):
        raise ValueError("item_ids repeat")
    users = _distinct(reviews["user_id"])
    context = reviews["context"].cast(pl.String).str.strip_chars().replace("", None)
    contexts = _distinct(context)
    user = rows_of(reviews["user_id"], users)
    time = reviews["timestamp"].to_numpy().astype(np.int64)
    tags, values = _tags(reviews, tag_values)
    by_user, start, end = _histories(user, time, max_user_events)
    return Events(
        item_ids=list(item_ids),
        users=users,
        contexts=contexts,
        item=rows_of(reviews["parent_asin"], list(item_ids)),
        user=user,
        context=rows_of(context, contexts),
        rating=reviews["rating"].to_numpy().astype(np.float32),
        time_ms=time,
        tags=tags,
        tag_values=values,
        by_user=by_user,
        start=start,
        end=end,
    )


def latest_of_users(
    user: NDArray[np.int64], time: NDArray[np.int64], most: int
) -> NDArray[np.bool_]:
    """Return which events are among the ``most`` latest of their user, bool ``[n]``.

    Of events of one instant the later rows are the later ones.
    """
    order = np.lexsort((time, user))
    ends = np.cumsum(np.bincount(user))
    kept = np.empty(len(user), bool)
    kept[order] = np.arange(len(user)) >= ends[user[order]] - most
    return kept


def _histories(
    user: NDArray[np.int64], time: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    by_user = np.lexsort((time, user))
    sorted_user, sorted_time = user[by_user], time[by_user]
    place = np.arange(len(user))
    new_user = np.r_[True, sorted_user[1:] != sorted_user[:-1]][: len(user)]
    new_time = new_user | np.r_[True, sorted_time[1:] != sorted_time[:-1]][: len(user)]
    start, end = np.empty_like(by_user), np.empty_like(by_user)
    start[by_user] = np.maximum.accumulate(np.where(new_user, place, 0))
    end[by_user] = np.maximum.accumulate(np.where(new_time, place, 0))
    return by_user, np.maximum(start, end - most), end


def _tags(
    reviews: pl.DataFrame, wanted: Mapping[str, list[str]] | None
) -> tuple[dict[str, NDArray[np.int64]], dict[str, list[str]]]:
    """Read the columns of text or bool out of ``extras``, or the wanted.

    An open field, such as the number of an order, is left out by the earliest events alone: later
    ones may not decide what a training on the earlier sees.
    """
    tags: dict[str, NDArray[np.int64]] = {}
    values: dict[str, list[str]] = {}
    if "extras" not in reviews.columns:
        return tags, values
    if wanted is not None:
        for name, texts in extra_columns(reviews["extras"], _tag_text, list(wanted)):
            values[name] = list(wanted[name])
            tags[name] = rows_of(texts, values[name])
        return tags, values
    # Stable: which of one moment come first must not depend on what comes later.
    first = np.argsort(reviews["timestamp"].to_numpy(), kind="stable")[:FIRST_EVENTS]
    for name, texts in extra_columns(reviews["extras"], _tag_text):
        if texts.gather(first).drop_nulls().n_unique() <= MAX_TAG_VALUES:
            values[name] = _distinct(texts)
            tags[name] = rows_of(texts, values[name])
    return tags, values


def _distinct(texts: pl.Series) -> list[str]:
    """Return the distinct values, null left out, in order."""
    found: list[str] = texts.drop_nulls().unique().sort().to_list()
    return found


def _tag_text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return value.strip() or None if isinstance(value, str) else None
