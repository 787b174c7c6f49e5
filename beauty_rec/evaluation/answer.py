"""The answer as served, measured: every order of the answer path on the same events.

The events are asked as a shopper would ask, with a text and without one. ``served`` is the list
that the service returns; it stands beside each of its parts, and beside plain baselines that are
asked the same.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation.block import Block, classification_block, split_section
from beauty_rec.evaluation.recommendation import (
    SIMPLE,
    baseline_ranks,
    beyond_accuracy,
    recommendation_section,
)
from beauty_rec.evaluation.yardsticks import POPULARITIES, WITHIN, Recencies, reads_occasion
from beauty_rec.measures.metrics import Ranks
from beauty_rec.measures.significance import beyond_chance
from beauty_rec.recommender.offline.ordering import LISTED
from beauty_rec.recommender.offline.scenarios import Scenario, has_contexts
from beauty_rec.recommender.orders import CHALLENGERS, ORDERS
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.settings import EvaluationSettings

BLOCKS = {order: "search" if order == "text_retriever" else order for order in ORDERS}
"""Order → its name in the report."""
SERVED = "served"
VERSUS = {
    "hybrid": ["search", "lexical", "titles"],
    "fused": [*(BLOCKS[name] for name in SOURCES), "hybrid"],
    "gbdt": ["fused", "user_tower"],
    "reranked": ["fused", "user_tower"],
    SERVED: [*BLOCKS.values(), *SIMPLE],
}


def answer_sections(
    answers: pl.DataFrame,
    events: pl.DataFrame,
    in_train: pl.Series,
    settings: EvaluationSettings,
    baselines: Mapping[Scenario, pl.DataFrame] | None = None,
    *,
    held_out: bool = True,
) -> dict[Scenario, dict[str, Block]]:
    """Return the report's blocks of one split by scenario.

    Args:
        answers: ``recommendations``: one row for each event and scenario, with ``rank_<order>`` of
            its answer (infinite: not among its candidates; null: not asked), ``kind`` of the ask
            and ``order`` served.
        events: ``review_id, parent_asin, user_id, cold``.
        in_train: ids of the items that occur in train.
        settings: bootstrap samples and seed.
        baselines: by scenario, ``review_id`` and the ranks of each baseline that answers there.
        held_out: as of :func:`~beauty_rec.evaluation.recommendation.recommendation_section`.
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
        ranks = answer_ranks(rows)
        if baselines is not None:
            plain = rows.select("review_id").join(
                baselines[scenario], on="review_id", how="left", maintain_order="left"
            )
            ranks |= {name: plain[name].to_numpy() for name in plain.columns[1:]}
        cold, seen = rows["cold"].to_numpy(), rows["seen"].to_numpy()
        found[scenario] = split_section(
            ranks,
            versus=VERSUS if held_out else {},
            groups={"warm": ~cold, "cold": cold, "in_train": seen, "not_in_train": ~seen},
            clusters=rows["user_id"].rank("dense").to_numpy().astype(np.int64),
            samples=settings.bootstrap_samples,
            seed=settings.seed,
        )
        kinds = rows.select("kind", "order").unique().sort("kind")
        found[scenario][SERVED]["orders"] = dict(kinds.iter_rows())
    return found


def answer_ranks(answers: pl.DataFrame) -> dict[str, Ranks]:
    """Return the ranks of the answers by block, float64 ``[Q]``; infinity where there is none.

    An order without any rank was not asked and is left out, but for what is served. One that was
    asked and never had the answer has infinite ranks, and is measured.
    """
    names: Mapping[str, str] = {**BLOCKS, SERVED: SERVED}
    columns = {block: f"rank_{order}" for order, block in names.items()}
    return {
        block: answers[column].cast(pl.Float64).fill_null(np.inf).to_numpy()
        for block, column in columns.items()
        if column in answers.columns and (block == SERVED or answers[column].is_not_null().any())
    }


CHOOSE_ANEW = "beauty-rec run --select user_candidates+++ --force"
"""Chooses among the orders again; of candidates of now, as a night may have kept earlier ones."""


class WorseThanItsParts(RuntimeError):
    """What would be served loses to a part of it or to plain popularity; the message names both."""


def refuse_worse_than_parts(answer: Mapping[str, Mapping[str, Block]]) -> None:
    """Refuse an answer that loses on valid, beyond chance, to one of its parts or to popularity.

    Of plain popularity those forms count that some order reaches: to choose among the orders anew,
    which looks at the same, serves one that loses to none of them. What no order reaches can only
    be warned of: a refusal would be one of every night.

    Args:
        answer: the sections of valid by scenario.

    Raises:
        WorseThanItsParts: one of these is significantly better than what would be served.
    """
    for scenario, section in answer.items():
        served = section.get(SERVED) or {}
        orders = [name for name in _rivals(served) if section.get(name)]
        best = max((section[name].get("ndcg@10") or 0.0 for name in orders), default=0.0)
        for name in (*orders, *POPULARITIES):
            test = ((served.get("versus") or {}).get(name) or {}).get("ndcg@10")
            tests = CHALLENGERS if name in orders else 1
            if test is None or test["difference"] >= 0 or not beyond_chance(test["p"], tests):
                continue
            if section[name]["ndcg@10"] <= best:
                raise WorseThanItsParts(
                    f"{scenario}: {name} has NDCG@10 {section[name]['ndcg@10']:.4f} on valid, what "
                    f"would be served {served['ndcg@10']:.4f} (p = {test['p']:.3f}); "
                    f"run: {CHOOSE_ANEW}"
                )


def _rivals(served: Block) -> list[str]:
    """Return the orders that may refuse what is served, by the names of their blocks.

    Where texts are asked these are the orders that are no more complicated than it. The weights of
    others are searched on these very asks, which puts them ahead here: they were turned down when
    judged by weights of other users' asks, see :mod:`beauty_rec.recommender.fit.orders`.
    """
    orders = served.get("orders") or {}
    if "text" not in orders:
        return list(BLOCKS.values())
    last = max(ORDERS.index(order) for order in orders.values())
    return [BLOCKS[order] for order in ORDERS[: last + 1]]


def ranking_document(
    answers: pl.DataFrame,
    events: pl.DataFrame,
    reviews: pl.DataFrame,
    items: Vectors,
    settings: EvaluationSettings,
    recencies: Recencies = Recencies(),  # noqa: B008  # it is frozen
    *,
    held_out: bool = True,
) -> dict[str, Any]:
    """Return ``recommendation``, ``answer`` and ``reranker`` of one split, for the report.

    Args:
        answers: ``recommendations``, of :func:`~beauty_rec.evaluation.block.with_reranker`.
        events: of the split; see :func:`~beauty_rec.events.asked.known_events`.
        reviews: rows of split_reviews with their contexts; train alone is counted.
        items: item vectors, whose ids are the catalogue.
        settings: bootstrap samples and seed.
        recencies: how long the past counts in popularity, chosen on valid.
        held_out: as of :func:`~beauty_rec.evaluation.recommendation.recommendation_section`.
    """
    train = reviews.filter(split="train")
    # As the events were known: with their occasion where the data have any.
    main = "with_text" if has_contexts(reviews) else "without_text"
    asked = events.select("review_id").join(
        answers.filter(scenario=main), on="review_id", how="left", maintain_order="left"
    )
    bare = events.select("review_id").join(
        answers.filter(scenario="without_text"), on="review_id", how="left", maintain_order="left"
    )
    rows = asked.filter(pl.col("scenario").is_not_null()) if asked.height else asked
    rows = pl.concat([rows, bare.filter(~pl.col("review_id").is_in(rows["review_id"].implode()))])
    rows = events.select("review_id").join(rows, on="review_id", how="left", maintain_order="left")
    known = answer_ranks(rows)
    baselines = baseline_ranks(events, reviews, items.ids, recencies)
    section = recommendation_section(
        events,
        {
            **baselines,
            **{method: known[method] for method in LISTED if method in known},
        },
        {method: rows[f"top_{method}"] for method in LISTED if method in known},
        reviews,
        items,
        settings,
        held_out=held_out,
    )
    section["recent_popularity"]["recency"] = str(recencies.overall)
    section["context_popularity"]["recency"] = str(recencies.context)
    plain = events.select("review_id").with_columns(
        pl.Series(name, ranks) for name, ranks in baselines.items()
    )
    sections = answer_sections(
        answers,
        events,
        train["parent_asin"],
        settings,
        {
            scenario: plain if reads_occasion(scenario, reviews) else plain.drop(WITHIN)
            for scenario in answers["scenario"].unique()
        },
        held_out=held_out,
    )
    for scenario, blocks in sections.items():
        served = answers.filter(scenario=scenario)["parent_asin"]
        blocks[SERVED]["beyond_accuracy"] = beyond_accuracy(served, train, items)
    return {
        "recommendation": section,
        "answer": sections,
        "reranker": answers["reranker"][0] if answers.height else classification_block([], []),
    }
