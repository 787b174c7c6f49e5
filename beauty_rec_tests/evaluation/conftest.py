"""A handful of train events, and queries with what they have seen."""

import numpy as np
import polars as pl
import pytest

from beauty_rec.events.places import item_lists

IDS = [f"i{n}" for n in range(12)]


@pytest.fixture
def train():
    random = np.random.default_rng(3)
    n = 160
    return pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in random.integers(0, 25, n)],
            # i10, i11 never occur; "gone" is outside the answer set
            "parent_asin": [*(f"i{int(i)}" for i in 10 * random.random(n - 1) ** 2), "gone"],
            "timestamp": random.integers(0, 60, n),
            "context": [(None, "party", "work")[c] for c in random.integers(0, 3, n)],
        }
    )


@pytest.fixture
def seen():
    random = np.random.default_rng(4)
    answers = random.integers(0, 12, 30)
    lists = [
        [IDS[i] for i in random.choice(12, 4, replace=False) if i != answer] for answer in answers
    ]
    return answers, item_lists(pl.Series(lists), IDS)
