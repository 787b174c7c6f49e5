"""``report.json``: fixed keys, every part there, unknown parts ``{}``."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.evaluation.block import Block

RETRIEVAL_METHODS = ("popularity", "bm25", "base_encoder", "text_retriever")
KEYWORD_METHODS = RETRIEVAL_METHODS[1:]
RECOMMENDATION_METHODS = ("popularity", "item_cf", "user_tower", "reranked")
BASELINES = frozenset(
    {
        "popularity",
        "recent_popularity",
        "context_popularity",
        "item_cf",
        "bm25",
        "base_encoder",
    }
)
HELD_OUT = ("valid", "test")
SCENARIOS = ("with_text", "without_text")
ANSWER_METHODS = (
    *("search", "lexical", "titles", "hybrid"),
    *("user_tower", "fused", "gbdt", "served"),
)
INDEXES = ("text_index", "item_index")
PARTS = ("dataset", "retrieval", "recommendation", "reranker", "indexes")
"""Of every report, whatever was measured."""
COST_KEYS = ("asset", "split", "seconds", "rows", "peak_memory_mb", "skipped")

Report = dict[str, Any]


def stands_out(method: str, split: str) -> bool:
    """Whether tables show a method in bold: no baseline, and nothing of valid or train.

    Valid chose what is measured there: when training stopped, weights, the order that is served.
    """
    return split == "test" and method not in BASELINES


def dataset_block(
    split_reviews: pl.DataFrame,
    *,
    items: int,
    train_end_ms: int,
    valid_end_ms: int,
    quarantined: Mapping[str, int] | None = None,
    synthetic: bool = False,
    notes: Sequence[str] = (),
) -> Block:
    """Return the ``dataset`` part: counts, cuts and whether the data are the synthetic sample.

    Args:
        split_reviews: reviews with ``user_id`` and ``split``.
        items: size of the answer set.
        train_end_ms, valid_end_ms: the cuts, Unix milliseconds.
        quarantined: refused rows by reason.
        synthetic: the data are made up.
        notes: what the reader should know of the run, e.g. that nothing was fine-tuned, and why.
    """
    rows = dict(split_reviews.group_by("split").len().sort("split").iter_rows())
    return {
        "reviews": len(split_reviews),
        "users": split_reviews["user_id"].n_unique(),
        "items": items,
        "quarantined": dict(quarantined or {}),
        "split": {
            "train_end_ms": train_end_ms,
            "valid_end_ms": valid_end_ms,
            "rows": {split: rows.get(split, 0) for split in ("train", *HELD_OUT)},
        },
        "synthetic": synthetic,
        "notes": list(notes),
    }


def build_report(
    dataset: Block,
    *,
    retrieval: Mapping[str, Mapping[str, Block]] | None = None,
    retrieval_keywords: Mapping[str, Mapping[str, Block]] | None = None,
    recommendation: Mapping[str, Mapping[str, Block]] | None = None,
    reranker: Mapping[str, Block] | None = None,
    answer: Mapping[str, Mapping[str, Mapping[str, Block]]] | None = None,
    indexes: Mapping[str, Block] | None = None,
    cost: Sequence[Mapping[str, Any]] = (),
    online: Mapping[str, Any] | None = None,
) -> Report:
    """Assemble the report; parts not given are there and empty.

    Args:
        dataset: of :func:`dataset_block`.
        retrieval: blocks by split, then by method (of train too, if measured); the sections of
            :func:`beauty_rec.evaluation.block.split_section`.
        retrieval_keywords: the same, of the queries that are a review's keywords.
        recommendation: the same.
        reranker: ``auc`` and ``log_loss`` of the DeepFM by split.
        answer: blocks by split, scenario and order; see
            :func:`beauty_rec.evaluation.answer.answer_sections`.
        indexes: ``rows``, ``recall_vs_exact@100`` by index.
        cost: one row per asset and split; missing fields become None.
        online: what people did with what they were shown, of
            :func:`beauty_rec.evaluation.online.rates.online_block`; left out where that is nothing.

    Raises:
        ValueError: a cost row without an asset.
    """
    for row in cost:
        if not row.get("asset"):
            raise ValueError(f"a cost row names no asset: {dict(row)}")
    report = {
        "dataset": {"synthetic": False, **dataset},
        "retrieval": _sections(retrieval or {}, RETRIEVAL_METHODS),
        "retrieval_keywords": _sections(retrieval_keywords or {}, KEYWORD_METHODS),
        "recommendation": _sections(recommendation or {}, RECOMMENDATION_METHODS),
        "answer": {
            split: _sections(
                {name: (answer or {}).get(split, {}).get(name, {}) for name in scenarios(answer)},
                ANSWER_METHODS,
                scenarios(answer),
            )
            for split in (*HELD_OUT, *(s for s in answer or {} if s not in HELD_OUT))
        },
        "reranker": {**{split: {} for split in HELD_OUT}, **(reranker or {})},
        "indexes": {**{name: {} for name in INDEXES}, **(indexes or {})},
        "cost": [{**dict.fromkeys(COST_KEYS), "skipped": False, **row} for row in cost],
    }
    if online:
        report["online"] = online
    cleaned: Report = plain(report)
    return cleaned


def scenarios(answer: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    """Return the scenarios of an answer part: the two fixed ones, then whatever else there is."""
    named = [name for split in (answer or {}).values() for name in split]
    return list(dict.fromkeys([*SCENARIOS, *named]))


def _sections(
    measured: Mapping[str, Mapping[str, Block]],
    methods: Sequence[str],
    first: Sequence[str] = HELD_OUT,
) -> dict[str, dict[str, Block]]:
    """Return the ``first`` parts first, the fixed methods first in each, then the rest."""
    splits = [*first, *(split for split in measured if split not in first)]
    found: dict[str, dict[str, Block]] = {}
    for split in splits:
        section = measured.get(split, {})
        fixed = {method: section.get(method, {}) for method in methods}
        found[split] = {**fixed, **{m: b for m, b in section.items() if m not in fixed}}
    return found


def plain(value: Any) -> Any:
    """Return ``value`` as JSON knows it: NumPy scalars unwrapped, NaN and infinities None."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_report(report: Report, path: Path) -> None:
    """Write the report as JSON, atomically."""
    write_text_atomic(path, json.dumps(plain(report), indent=2, allow_nan=False) + "\n")


def read_report(path: Path) -> Report:
    """Read what :func:`write_report` wrote.

    Raises:
        FileNotFoundError: there is no report; the message names the command that makes one.
        ValueError: the file is no report.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist yet: `beauty-rec run` makes it")
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); run `beauty-rec run` again") from error
    if not isinstance(report, dict) or not all(isinstance(report.get(n), dict) for n in PARTS):
        raise ValueError(f"{path} is not a report; run `beauty-rec run` again")
    return report
