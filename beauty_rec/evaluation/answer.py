"""The answer as served, measured: every order of the answer path on the same events.

The events are asked as a shopper would ask, with a text and without one. ``served`` is the list
that the service returns; it stands beside each of its parts, and beside the best of them.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from beauty_rec.evaluation.block import Block, split_section
from beauty_rec.measures.metrics import Ranks
from beauty_rec.recommender.offline import Scenario
from beauty_rec.recommender.orders import COMBINED, ORDERS
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.settings import EvaluationSettings

BLOCKS = {order: "search" if order == "text_retriever" else order for order in ORDERS}
"""Order → its name in the report."""
SERVED = "served"
VERSUS = {
    "hybrid": ["search", "lexical"],
    "fused": [*(BLOCKS[name] for name in SOURCES), "hybrid"],
    "gbdt": ["fused", "user_tower"],
    "reranked": ["fused", "user_tower"],
    SERVED: list(BLOCKS.values()),
}


def answer_sections(
    answers: pl.DataFrame,
    events: pl.DataFrame,
    in_train: pl.Series,
    settings: EvaluationSettings,
) -> dict[Scenario, dict[str, Block]]:
    """Return the report's blocks of one split by scenario.

    Args:
        answers: ``recommendations``: one row for each event and scenario, with ``rank_<order>`` of
            its answer (null: not among the candidates).
        events: ``review_id, parent_asin, user_id, cold``.
        in_train: ids of the items that occur in train.
        settings: bootstrap samples and seed.
    """
    known = events.select(
        "review_id",
        "user_id",
        "cold",
        seen=pl.col("parent_asin").is_in(in_train.unique().implode()),
    )
    found: dict[Scenario, dict[str, Block]] = {}
    for (scenario,), part in answers.group_by(["scenario"], maintain_order=True):
        rows = part.join(known, on="review_id", how="left", maintain_order="left")
        cold, seen = rows["cold"].to_numpy(), rows["seen"].to_numpy()
        found[scenario] = split_section(  # type: ignore[index]
            answer_ranks(rows),
            versus=VERSUS,
            groups={"warm": ~cold, "cold": cold, "in_train": seen, "not_in_train": ~seen},
            clusters=rows["user_id"].rank("dense").to_numpy().astype(np.int64),
            samples=settings.bootstrap_samples,
            seed=settings.seed,
        )
    return found


def answer_ranks(answers: pl.DataFrame) -> dict[str, Ranks]:
    """Return the ranks of the answers by block, float64 ``[Q]``; infinity where there is none."""
    names: Mapping[str, str] = {**BLOCKS, SERVED: SERVED}
    return {
        block: answers[f"rank_{order}"].cast(pl.Float64).fill_null(np.inf).to_numpy()
        for order, block in names.items()
        if f"rank_{order}" in answers.columns and answers[f"rank_{order}"].is_not_null().any()
    }


def worse_than_a_part(section: Mapping[str, Block], metric: str = "ndcg@10") -> list[str]:
    """Return the orders that are better than what is served, with their figures; none is right."""
    served = (section.get(SERVED) or {}).get(metric)
    if served is None:
        return []
    parts = [*(BLOCKS[name] for name in SOURCES), *COMBINED]
    return [
        f"{part} {section[part][metric]:.4f} > served {served:.4f}"
        for part in parts
        if (section.get(part) or {}).get(metric) is not None
        and section[part][metric] > served + 1e-9
    ]
