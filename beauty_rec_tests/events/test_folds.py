"""Which fold an event of train is asked of."""

import numpy as np
import polars as pl
import pytest

from beauty_rec.events.folds import LATE, fold_numbers, fold_of, fold_starts

STARTS = [100, 200, 300]


def test_an_event_is_asked_of_its_fold_or_of_the_one_before() -> None:
    times = np.repeat(np.array([50, 100, 250, 999]), 500)
    names = [f"r{row}" for row in range(len(times))]
    fold = fold_numbers(names, times, STARTS)
    assert (fold[:500] == -1).all()
    assert (fold[500:1000] == 0).all()  # nothing lies before the first
    for row, own in ((1000, 1), (1500, 2)):
        asked = fold[row : row + 500]
        assert set(asked) == {own - 1, own}
        assert abs((asked == own - 1).mean() - LATE) < 0.1
    # An event more or less moves no other.
    assert fold_numbers(names[::2], times[::2], STARTS).tolist() == fold[::2].tolist()


def test_folds_part_the_events() -> None:
    times = np.arange(100, 400)
    events = pl.DataFrame({"review_id": [f"r{t}" for t in times], "timestamp": times})
    parts = dict(fold_of(events, STARTS))
    assert list(parts) == STARTS
    assert sorted(pl.concat(parts.values())["timestamp"]) == times.tolist()
    for start, part in parts.items():  # nothing is asked of a fold that begins after it
        assert (part["timestamp"] >= start).all()


def test_no_more_folds_are_made_than_hold_the_asked_events() -> None:
    reviews = pl.DataFrame({"timestamp": range(1_000), "split": ["train"] * 900 + ["valid"] * 100})
    shares = (0.2, 0.5, 0.8, 0.9)
    every = [180, 450, 720, 810]  # 720, 450, 180 and 90 events of train lie from there on
    assert fold_starts(reviews, shares) == every
    for asked, first in ((901, 0), (720, 0), (451, 0), (450, 1), (181, 1), (180, 2), (1, 2)):
        assert fold_starts(reviews, shares, asked) == every[first:]
    assert fold_starts(reviews, (0.9,), asked=1) == [810]


def test_something_lies_before_every_fold() -> None:
    """Half of an imported history may have one date."""
    reviews = pl.DataFrame({"timestamp": [5] * 40 + list(range(6, 66)), "split": "train"})
    starts = fold_starts(reviews, (0.1, 0.3, 0.6, 0.99))
    assert starts == [6, 26, 65]
    with pytest.raises(ValueError, match=r"all 40 reviews of train have one timestamp"):
        fold_starts(reviews.head(40), (0.5,))
