"""The answer as served beside its parts, and what is refused."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.evaluation.answer import (
    BLOCKS,
    VERSUS,
    WorseThanItsParts,
    answer_ranks,
    answer_sections,
    refuse_worse_than_parts,
)
from beauty_rec.measures.metrics import ndcg_at
from beauty_rec.settings import EvaluationSettings

ASKS = 400
MEASURED = EvaluationSettings(bootstrap_samples=200)


def answers(**ranks: np.ndarray) -> pl.DataFrame:
    """Ranks by order; infinity where an order has no answer."""
    columns = {f"rank_{name}": pl.Series(own) for name, own in ranks.items()}
    names = {
        "review_id": [f"r{row}" for row in range(ASKS)],
        "scenario": ["with_text"] * ASKS,
    }
    found = pl.DataFrame({**names, **columns})
    return found.with_columns(
        pl.when(column.is_finite()).then(column).alias(name)
        for name in columns
        for column in (pl.col(name),)
    )


EVENTS = pl.DataFrame(
    {
        "review_id": [f"r{row}" for row in reversed(range(ASKS))],
        "parent_asin": [f"i{row % 5}" for row in range(ASKS)],
        "user_id": [f"u{row // 3}" for row in range(ASKS)],
        "cold": [row % 4 == 0 for row in range(ASKS)],
    }
)


def sections(**ranks: np.ndarray) -> dict[Any, Any]:
    return answer_sections(answers(**ranks), EVENTS, pl.Series(["i0", "i1"]), MEASURED)


def drawn(seed: int, best: int = 1, worst: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(best, worst, ASKS).astype(np.float64)


def test_blocks_hold_every_order_by_its_name_and_the_groups() -> None:
    tower = drawn(1)
    tower[:100] = np.inf
    found = sections(user_tower=tower, text_retriever=drawn(2), served=drawn(3))["with_text"]
    assert set(found) == {"user_tower", "search", "served"}
    assert found["user_tower"]["ndcg@10"] == pytest.approx(ndcg_at(tower).mean())
    assert found["user_tower"]["queries"] == ASKS
    for group, share in (("cold", 0.25), ("warm", 0.75), ("in_train", 0.4)):
        assert found["served"][group]["share"] == pytest.approx(share)
    assert set(found["served"]["versus"]) == {"user_tower", "search"}
    assert set(VERSUS["served"]) == set(BLOCKS.values())
    missing = answer_ranks(answers(user_tower=np.full(ASKS, np.inf)))
    assert missing == {}  # an order that answers nothing was not asked


def test_what_loses_to_one_of_its_parts_is_refused() -> None:
    good = drawn(1, 1, 12)
    worse = sections(user_tower=good, popular=drawn(2), served=good + 3)
    with pytest.raises(WorseThanItsParts, match="with_text: user_tower has NDCG@10"):
        refuse_worse_than_parts(worse)
    refuse_worse_than_parts(sections(user_tower=good + 3, served=good))
    refuse_worse_than_parts(sections(user_tower=good, served=good))
    refuse_worse_than_parts({"with_text": {}})


def test_what_is_chance_is_allowed() -> None:
    good = drawn(1, 1, 30)
    noise = good.copy()
    noise[np.flatnonzero(good < 6)[:2]] += 2
    near = sections(user_tower=good, served=noise)
    assert near["with_text"]["served"]["versus"]["user_tower"]["ndcg@10"]["difference"] < 0
    refuse_worse_than_parts(near)
