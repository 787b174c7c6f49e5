"""The share of the attributes in an item vector: the one that held-out events ask for."""

import numpy as np
import polars as pl
import pytest

from beauty_rec.events.arrays import Events, read_events
from beauty_rec.towers.items.attribute_space import side_by_side
from beauty_rec.towers.items.share import CUT, USUAL, choose_share

SHARES = (0, 0.15, 0.5, 0.85, 1)
ITEMS, USERS = 400, 120


def units(seed: int, width: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(ITEMS, width)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def shop(near: np.ndarray | None) -> tuple[pl.DataFrame, np.ndarray]:
    """Each user takes three items and then one that is near the first in ``near``, or any."""
    draw = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        past = draw.choice(ITEMS, 3, replace=False)
        last = int(draw.integers(ITEMS))
        if near is not None:
            order = np.argsort(-near[past].mean(axis=0) @ near.T)
            last = int(next(item for item in order if item not in past))
        for time, item in enumerate([*past, last]):
            rows.append(
                {"user_id": f"u{user}", "parent_asin": f"i{item}", "timestamp": time,
                 "rating": 5.0, "context": None, "split": "valid" if time == 3 else "train"}
            )  # fmt: skip
    frame = pl.DataFrame(rows, schema_overrides={"context": pl.String})
    return frame, np.flatnonzero(frame["split"].to_numpy() == "valid")


@pytest.mark.parametrize("by_attributes", [False, True])
def test_what_the_next_items_are_near_to_is_chosen(by_attributes: bool) -> None:
    learned, attributes = units(1, 6), units(2, 6)
    reviews, rows = shop(attributes if by_attributes else learned)
    events = read_events(reviews, [f"i{i}" for i in range(ITEMS)])
    found = choose_share(learned, attributes, SHARES, events, rows)
    assert found.recalls[float(by_attributes)] == 1.0
    assert found.share in ((0.85, 1.0) if by_attributes else (0.0, 0.15))
    assert found.queries == len(rows) - sum(events.item[r] in events.seen(r) for r in rows)


def test_events_of_one_user_choose_nothing() -> None:
    """They are alike: what finds all of them may find nothing of another's."""
    learned, attributes = units(1, 6), units(2, 6)
    reviews, rows = shop(learned)
    events = read_events(reviews, [f"i{i}" for i in range(ITEMS)])
    assert choose_share(learned, attributes, SHARES, events, rows).share < USUAL
    events.user[rows] = 0
    assert choose_share(learned, attributes, SHARES, events, rows).share == USUAL


def test_recalls_by_loops() -> None:
    learned, attributes = units(1, 6), units(2, 6)
    reviews, rows = shop(None)
    events = read_events(reviews, [f"i{i}" for i in range(ITEMS)])
    found = choose_share(learned, attributes, SHARES, events, rows)
    assert found.share == USUAL, "chance chooses nothing"
    hits, asked = 0, 0
    matrix = side_by_side(learned, attributes, 0.5)
    for row in rows:
        seen = set(events.seen(row).tolist())
        if events.item[row] in seen:
            continue
        scores = {i: float(matrix[i] @ matrix[list(seen)].mean(axis=0)) for i in range(ITEMS)}
        better = [i for i in scores if i not in seen and scores[i] > scores[events.item[row]]]
        hits, asked = hits + (len(better) < CUT), asked + 1
    assert found.recalls[0.5] == pytest.approx(hits / asked)


def test_only_what_is_drawn_gets_a_history(monkeypatch: pytest.MonkeyPatch) -> None:
    learned, attributes = units(1, 6), units(2, 6)
    reviews, rows = shop(learned)
    events = read_events(reviews, [f"i{i}" for i in range(ITEMS)])
    made: list[np.ndarray] = []
    histories = Events.histories

    def counted(events: Events, rows: np.ndarray, limit: int) -> np.ndarray:
        made.append(rows)
        return histories(events, rows, limit)

    monkeypatch.setattr(Events, "histories", counted)
    monkeypatch.setattr("beauty_rec.towers.items.share.MOST_QUERIES", 40)
    found = choose_share(learned, attributes, SHARES, events, rows)
    assert [len(asked) for asked in made] == [40]
    assert found.queries == sum(events.item[row] not in events.seen(row) for row in made[0])
    assert found.share < USUAL


def test_few_events_choose_nothing() -> None:
    learned, attributes = units(1, 6), units(2, 6)
    reviews, rows = shop(learned)
    events = read_events(reviews, [f"i{i}" for i in range(ITEMS)])
    found = choose_share(learned, attributes, (0, 0.5, 1), events, rows[:20])
    assert (found.recalls, found.share) == ({}, 1.0)
