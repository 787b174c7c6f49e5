"""Metric blocks of ``report.json``: from ranks per query to figures with intervals and tests.

A block is a plain dictionary, ready for JSON: an unknown figure is None, never NaN.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from beauty_rec.measures.intervals import bootstrap_intervals, ends_of, wilson_interval
from beauty_rec.measures.metrics import (
    auc,
    coverage,
    intra_list_diversity,
    log_loss,
    novelty,
    per_query,
)
from beauty_rec.measures.significance import compare
from beauty_rec.search.ranks import Ranks

Block = dict[str, Any]
RERANKER: dict[str, pl.DataType] = {
    "auc": pl.Float64(),
    "log_loss": pl.Float64(),
    "examples": pl.Int64(),
    "positives": pl.Int64(),
}
"""What :func:`classification_block` tells of a model, as it stands in a frame."""


def metric_block(
    ranks: Ranks,
    *,
    groups: Mapping[str, NDArray[np.bool_]] | None = None,
    clusters: NDArray[np.int64] | None = None,
    samples: int = 1_000,
    seed: int = 13,
) -> Block:
    """Return the metric block of one method on one split.

    Args:
        ranks: rank of the answer of each query, float64 ``[Q]``.
        groups: queries to report apart, bool ``[Q]`` by name (``answerable``, ``cold``).
        clusters: int ``[Q]``, whose queries are resampled together, such as a user's.
        samples: bootstrap samples; without clusters recall has Wilson's interval.
        seed: of the bootstrap.

    Returns:
        ``{"queries", "recall@1" … "recall@100", "mrr", "ndcg@10", "intervals": {metric: [low,
        high]}}`` and, for each group, the same of its queries with their ``share`` of all. An
        interval is None where there are not two clusters to draw.
    """
    values = per_query(ranks)
    block: Block = {"queries": len(ranks)}
    intervals: dict[str, list[float] | None] = dict.fromkeys(values)
    block |= {metric: float(own.mean()) if len(ranks) else None for metric, own in values.items()}
    if len(ranks):
        drawn = bootstrap_intervals(
            np.column_stack(list(values.values())), clusters=clusters, samples=samples, seed=seed
        )
        intervals = {name: ends_of(own) for name, own in zip(values, drawn, strict=True)}
        if clusters is None:
            for metric in (name for name in values if name.startswith("recall@")):
                hits = values[metric].sum()
                intervals[metric] = list(wilson_interval(hits, len(ranks)))
    block["intervals"] = intervals
    for name, members in (groups or {}).items():
        share = float(members.mean()) if len(ranks) else None
        block[name] = {
            "share": share,
            **metric_block(
                ranks[members],
                clusters=None if clusters is None else clusters[members],
                samples=samples,
                seed=seed,
            ),
        }
    return block


def split_section(
    ranks: Mapping[str, Ranks],
    *,
    versus: Mapping[str, Sequence[str]],
    groups: Mapping[str, NDArray[np.bool_]] | None = None,
    clusters: NDArray[np.int64] | None = None,
    samples: int = 1_000,
    seed: int = 13,
) -> dict[str, Block]:
    """Return the blocks of all methods on one split, with paired tests.

    Args:
        ranks: by method, all on the same queries in the same order.
        versus: which methods a stage is compared with, by stage; methods that ``ranks`` lacks are
            left out. The result stands under ``versus`` of the stage's block, by reference.
        groups, clusters, samples, seed: as in :func:`metric_block`.

    Raises:
        ValueError: methods with different numbers of queries.
    """
    if len({len(of_method) for of_method in ranks.values()}) > 1:
        counts = {method: len(of_method) for method, of_method in ranks.items()}
        raise ValueError(f"methods were measured on different queries: {counts}")
    section = {
        method: metric_block(
            of_method, groups=groups, clusters=clusters, samples=samples, seed=seed
        )
        for method, of_method in ranks.items()
    }
    for stage, references in versus.items():
        if stage in ranks:
            section[stage]["versus"] = {
                reference: compare(
                    ranks[stage],
                    ranks[reference],
                    clusters=clusters,
                    samples=samples,
                    seed=seed,
                )
                for reference in references
                if reference in ranks
            }
    return section


def classification_block(labels: ArrayLike, probabilities: ArrayLike) -> Block:
    """Return ``{"auc", "log_loss", "examples", "positives"}`` of a reranker's probabilities."""
    positives = int(np.count_nonzero(labels))
    return {
        "auc": none_if_nan(auc(labels, probabilities)),
        "log_loss": none_if_nan(log_loss(labels, probabilities)),
        "examples": len(np.asarray(labels)),
        "positives": positives,
    }


def with_reranker(
    answers: pl.DataFrame, labels: NDArray[np.bool_], probabilities: NDArray[np.float32]
) -> pl.DataFrame:
    """Return ``answers`` with AUC and log loss of the DeepFM in every row, as ``reranker``.

    They are of every candidate of the split, where the lists end early, and hold what is said by
    the model of the served order.

    Args:
        answers: lists of a split.
        labels: bool ``[N]``, which candidates are the answers.
        probabilities: of the DeepFM, ``[N]``.
    """
    found = classification_block(labels, probabilities)
    figures = [pl.lit(found[name], dtype).alias(name) for name, dtype in RERANKER.items()]
    return answers.with_columns(reranker=pl.struct(figures))


def beyond_accuracy_block(
    lists: NDArray[np.int64],
    train_counts: NDArray[np.int64],
    item_vectors: NDArray[np.float32] | None = None,
) -> Block:
    """Return ``{"coverage@K", "novelty@K", "intra_list_diversity@K"}`` of top-K lists.

    Args:
        lists: recommended items, int ``[Q, K]``; -1: an empty place.
        train_counts: train events of every item of the catalogue, int ``[N]``.
        item_vectors: float ``[N, D]``; without them there is no diversity.
    """
    k = lists.shape[1]
    diversity = float("nan") if item_vectors is None else intra_list_diversity(lists, item_vectors)
    return {
        f"coverage@{k}": none_if_nan(coverage(lists, len(train_counts))),
        f"novelty@{k}": none_if_nan(novelty(lists, train_counts)),
        f"intra_list_diversity@{k}": none_if_nan(diversity),
    }


def none_if_nan(value: float) -> float | None:
    """Return None in place of NaN and infinities, which JSON does not know."""
    return value if math.isfinite(value) else None
