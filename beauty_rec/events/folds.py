"""Parts of train in time: which events are learned from candidates of which moment."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.settings import Settings

FOLDS = "folds.json"
LATE = 0.5
"""Share of a fold's events that are asked of the fold before."""
FEWEST = 2
"""Folds that are made in any case: the later one's events are asked of the other, too."""


def with_context(reviews: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return the reviews with the context that the settings choose."""
    if settings.recommendation.context_from == "review_text":
        return reviews.with_columns(context=pl.col("text").replace("", None))
    return reviews


def fold_starts(
    reviews: pl.DataFrame, shares: tuple[float, ...], asked: int | None = None
) -> list[int]:
    """Return the moments (Unix ms, ascending, distinct) at which the parts of train begin.

    A fold costs a training of the user tower and the vectors of all items as they stood then. So
    where later folds hold all events that are asked, the earlier ones are left out. A part that
    would begin with train itself begins at the next moment, as something has to lie before it.

    Args:
        reviews: rows of ``split_reviews``.
        shares: of train, before each part.
        asked: events of train that the reranker learns from, at most; none: every part begins.

    Raises:
        ValueError: all of train lies at one moment.
    """
    times = reviews.filter(split="train")["timestamp"].sort().to_numpy()
    later = times[times > times[0]] if len(times) else times
    if not len(later):
        raise ValueError(
            f"all {len(times):,} reviews of train have one timestamp, so none can be asked of what "
            "was before it: give the moments of the reviews, or set corpus.train_end_ms later"
        )
    places = [min(len(times) - 1, int(share * len(times))) for share in shares]
    starts = np.unique(np.maximum(times[places], later[0]))
    if asked is not None:
        held = len(times) - np.searchsorted(times, starts)
        enough = np.count_nonzero(held >= asked)
        starts = starts[max(0, min(enough - 1, len(starts) - FEWEST)) :]
    return [int(start) for start in starts]


def starts_of(user_tower: Path) -> list[int]:
    """Return the moments (Unix ms, ascending) at which the out-of-fold parts of train begin."""
    found: list[int] = json.loads((user_tower / FOLDS).read_text(encoding="utf-8"))
    return found


def fold_of(events: pl.DataFrame, starts: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield each fold's start (Unix ms) and its events, the earliest first."""
    fold = fold_numbers(events["review_id"], events["timestamp"].to_numpy(), starts)
    for number, start in enumerate(starts):
        yield start, events.filter(pl.Series(fold == number, dtype=pl.Boolean))


def fold_numbers(
    review_ids: Iterable[str], times: NDArray[np.int64], starts: Sequence[int]
) -> NDArray[np.int64]:
    """Return the fold that each event is asked of, int64 ``[n]``; -1 before the first.

    A share of the events (a hash of the id decides) is asked of the fold before the one that they
    lie in: what is served grows as old, with items that it has never seen, before a next training.

    Args:
        review_ids: of the events.
        times: int64 ``[n]``, Unix ms.
        starts: of the folds, Unix ms, ascending.
    """
    own = np.searchsorted(np.array(starts, dtype=np.int64), times, side="right") - 1
    late = np.fromiter((draw("fold", name) < LATE for name in review_ids), bool, len(own))
    return np.where(late & (own > 0), own - 1, own)


def draw(purpose: str, name: str) -> float:
    """Return a number in [0, 1) that is always the same for a purpose and a name."""
    digest = hashlib.blake2b(f"{purpose}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
