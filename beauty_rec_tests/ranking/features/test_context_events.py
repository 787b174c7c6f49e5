"""Events within contexts: cells give what whole tables gave."""

import numpy as np
import pytest

from beauty_rec.ranking.features.context_events import ContextEvents
from beauty_rec.towers.users.statistics import log_lift, weighted_counts

ROWS, CONTEXTS, PRIOR = 40, 6, 5.0


@pytest.fixture
def drawn() -> tuple[ContextEvents, list[np.ndarray], list[np.ndarray]]:
    """The cells of drawn events, and the tables [C, rows] of counts and lifts by half-life."""
    draw = np.random.default_rng(3)
    item, context = draw.integers(0, ROWS - 3, 200), draw.integers(-1, CONTEXTS, 200)
    weights = [draw.random(200), np.ones(200)]
    counts = [weighted_counts(item, ROWS, context, CONTEXTS, weight) for weight in weights]
    made = ContextEvents.build(item, ROWS, context, CONTEXTS, weights, PRIOR)
    return made, [np.log(c.T + 0.1) for c in counts], [log_lift(c, PRIOR).T for c in counts]


def test_cells_are_those_of_the_whole_tables(
    drawn: tuple[ContextEvents, list[np.ndarray], list[np.ndarray]],
) -> None:
    made, counts, lifts = drawn
    context, item = np.repeat(np.arange(CONTEXTS), ROWS), np.tile(np.arange(ROWS), CONTEXTS)
    for found, table in zip(made.of_pairs(context, item), (*counts, *lifts), strict=True):
        np.testing.assert_allclose(found, table.ravel(), rtol=1e-6, atol=1e-7)
    assert all(np.isnan(own).all() for own in made.of_pairs(np.array([-1]), np.array([0])))
    np.testing.assert_allclose(made.log_counts(2, 1), counts[1][2], rtol=1e-6)
    tables = [np.stack(part).astype(np.float32) for part in (counts, lifts)]
    again = ContextEvents.of_tables(*tables)
    for one, other in zip(again.of_pairs(context, item), made.of_pairs(context, item), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_rows_are_taken_in_another_order_and_twice(
    drawn: tuple[ContextEvents, list[np.ndarray], list[np.ndarray]],
) -> None:
    made = drawn[0]
    order = np.array([5, 3, 3, 39, 0])
    moved = made.taken(order)
    context, place = np.repeat(np.arange(CONTEXTS), 5), np.tile(np.arange(5), CONTEXTS)
    for one, other in zip(
        moved.of_pairs(context, place), made.of_pairs(context, order[place]), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_without_contexts_nothing_is_known() -> None:
    none = np.full(4, -1)
    made = ContextEvents.build(np.arange(4), ROWS, none, 0, [np.ones(4)], PRIOR)
    found = made.taken(np.arange(3)).of_pairs(none[:3], np.arange(3))
    assert len(found) == 2
    assert np.isnan(found).all()
