"""Judgements on artifacts: what a check decides, as pure functions of values and thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.measures.vectors import mean_cosine
from beauty_rec.settings import SPLITS, CheckSettings, CorpusSettings

Facts = Mapping[str, Any]
"""Metadata of a materialization, by name."""
ONE_CATEGORY = 0.95
"""Purity by chance from which on the neighbours' categories say nothing of a tower."""
JUDGED = ("valid", "test")
"""Splits on which a model is held against others; of train it has seen the answers."""


@dataclass(frozen=True)
class Verdict:
    """What was decided, in words that name the remedy, and the figures that decided it."""

    passed: bool
    text: str
    figures: dict[str, Any] = field(default_factory=dict)


Frame = pl.DataFrame | pl.LazyFrame
"""Of a lazy one only the columns that are judged are read."""


def unique(rows: Frame, columns: Sequence[str]) -> Verdict:
    """No two rows may agree in ``columns``."""
    frame = rows.lazy().select(columns).collect()
    doubled = frame.height - frame.n_unique() if frame.height else 0
    named = ", ".join(columns)
    return Verdict(
        doubled == 0,
        f"{doubled:,} of {frame.height:,} rows repeat another row's {named}",
        {"rows": frame.height, "repeated": doubled},
    )


def no_empty(rows: Frame, column: str) -> Verdict:
    """No value of a text column may be missing or blank."""
    frame = rows.lazy()
    text = pl.col(column).fill_null("").str.strip_chars()
    empty = frame.filter(text == "").select(pl.first()).collect()
    height = int(frame.select(pl.len()).collect().item())
    return Verdict(
        empty.is_empty(),
        f"{empty.height:,} of {height:,} rows have no {column}",
        {
            "rows": height,
            "empty": empty.height,
            "examples": ", ".join(map(str, empty.to_series(0).head(5))),
        },
    )


def unit_vectors(vectors: Vectors, tolerance: float) -> Verdict:
    """Every vector must be finite and of length 1."""
    matrix = np.asarray(vectors.matrix)
    bad = int((~np.isfinite(matrix).all(axis=1)).sum())
    off = np.abs(np.linalg.norm(np.nan_to_num(matrix), axis=1) - 1)
    worst = float(off.max(initial=0.0))
    long = int((off > tolerance).sum())
    return Verdict(
        bad == 0 and long == 0,
        f"{bad:,} of {len(matrix):,} vectors are not finite, {long:,} are not of length 1 "
        f"(worst: off by {worst:.2g}, allowed checks.norm_tolerance = {tolerance:g})",
        {"vectors": len(matrix), "not_finite": bad, "wrong_length": long, "worst": worst},
    )


def not_collapsed(vectors: Vectors, limit: float) -> Verdict:
    """Different items must not lie on one point."""
    return _kept_apart(mean_cosine(vectors.matrix), limit)


def learned_apart(facts: Facts, limit: float) -> Verdict:
    """Items must not lie on one point, unless they did before training.

    Either the asset says so itself, or what the encoder made of their texts before it was
    fine-tuned lay no more than twice as far apart as is allowed.
    """
    verdict = _kept_apart(facts.get("mean_cosine", 0.0), limit)  # none of fewer than two items
    before = facts.get("mean_cosine_before_tuning", 0.0)
    if verdict.passed or not (facts.get("items_alike", False) or 1 - before < 2 * (1 - limit)):
        return verdict
    text = f"warning: {verdict.text}; the items themselves are as alike: give them more attributes"
    return Verdict(True, text, verdict.figures)


def _kept_apart(found: float, limit: float) -> Verdict:
    return Verdict(
        bool(found <= limit),
        f"different items have a mean cosine of {found:.3f} (allowed: {limit:g}); a larger one "
        "says that training collapsed: lower its learning rate or temperature",
        {"mean_cosine": found, "limit": limit},
    )


def item_tower_learned(facts: Facts, checks: CheckSettings) -> Verdict:
    """The table must have left its start, and purity the tower's random start.

    Where nothing tells two items apart, there is nothing to judge; nor is purity where nearly any
    neighbour is of one's own category, as in a shop that sells one kind of thing.
    """
    moved, limit = facts.get("table_correlation"), checks.max_table_correlation
    if moved is None:
        return Verdict(True, "not trained yet")
    if facts.get("distinct_items", 2) < 2:
        return Verdict(True, "warning: no title or value tells items apart: nothing is learned")
    purity, start = facts.get("purity", np.nan), facts.get("purity of random start", np.nan)
    known = facts.get("items_with_category", 0)
    told = np.isfinite(purity) and np.isfinite(start)
    single = facts.get("purity_by_chance", 0.0) >= ONE_CATEGORY
    judged = told and known >= checks.min_purity_items and not single
    stands, no_purer = not moved <= limit, judged and purity <= start
    text = f"the table's start and end correlate by {moved:.3f} (allowed: {limit:g})"
    if judged:
        text += f"; purity {purity:.3f}, at the random start {start:.3f}"
    elif single:
        text += "; purity is not judged: nearly all items are of one category"
    else:
        text += f"; purity is not judged on {known:,} items with a category"
    if stands or no_purer:
        text += "; raise item_tower.min_steps, or give the items more attributes"
    figures = {"table_correlation": moved, "purity": purity, "purity of random start": start}
    found = {name: float(value) for name, value in figures.items() if np.isfinite(value)}
    return Verdict(not (stands or no_purer), text, found)


def splits_in_time(reviews: Frame) -> Verdict:
    """Every split has rows, and none begins before the one before it has ended."""
    time = pl.col("timestamp")
    found = reviews.lazy().group_by("split").agg(first=time.min(), last=time.max(), rows=pl.len())
    spans = {row["split"]: row for row in found.collect(engine="streaming").iter_rows(named=True)}
    first: dict[str, Any] = {split: spans.get(split, {}).get("first") for split in SPLITS}
    last: dict[str, Any] = {split: spans.get(split, {}).get("last") for split in SPLITS}
    empty = [split for split in SPLITS if first[split] is None]
    early = [
        f"{after} begins before {before} has ended"
        for before, after in pairwise(SPLITS)
        if not empty and first[after] <= last[before]
    ]
    faults = [f"{split} is empty" for split in empty] + early
    return Verdict(
        not faults,
        "; ".join(faults) or "train, valid and test follow one another in time",
        {f"{split} rows": spans.get(split, {}).get("rows", 0) for split in SPLITS},
    )


def split_sizes(reviews: Frame, corpus: CorpusSettings, drift: float) -> Verdict:
    """Each split has about the share of rows that was asked for; not judged with explicit cuts."""
    wanted = {"train": corpus.train_share, "valid": corpus.valid_share}
    wanted["test"] = 1 - sum(wanted.values())
    counted = reviews.lazy().group_by("split").len().collect(engine="streaming")
    rows: dict[str, int] = dict(counted.iter_rows())
    shares = {split: rows.get(split, 0) / max(1, sum(rows.values())) for split in SPLITS}
    explicit = corpus.train_end_ms is not None or corpus.valid_end_ms is not None
    off = {s: abs(shares[s] - wanted[s]) for s in SPLITS}
    sizes = ", ".join(f"{s} {shares[s]:.1%} (asked: {wanted[s]:.0%})" for s in SPLITS)
    return Verdict(
        explicit or max(off.values()) <= drift,
        f"{sizes}; cuts were given by hand" if explicit else f"{sizes}; many rows of one instant?",
        {f"share {split}": share for split, share in shares.items()},
    )


def coverage(facts: Mapping[str | None, Facts], name: str, limit: float, remedy: str) -> Verdict:
    """The share ``name`` must reach ``limit`` in every split."""
    shares = {split: found[name] for split, found in facts.items() if name in found}
    low = {split: share for split, share in shares.items() if share < limit}
    text = ", ".join(f"{split or 'all'}: {share:.1%}" for split, share in shares.items())
    return Verdict(
        not low,
        f"{text} (wanted: {limit:.0%})" + (f"; {remedy}" if low else ""),
        {f"{name} {split}" if split else name: share for split, share in shares.items()},
    )


def at_least(count: int, limit: int, what: str) -> Verdict:
    """There must be ``limit`` of something."""
    return Verdict(count >= limit, f"{count:,} {what} (wanted: {limit:,})", {what: count})


def no_drop(
    now: Mapping[str | None, Facts],
    before: Mapping[str | None, Facts],
    metric: str,
    limit: float,
) -> Verdict:
    """``metric`` must not fall by more than the share ``limit`` since the last run."""
    figures: dict[str, Any] = {}
    lines = []
    passed = True
    for split in JUDGED:
        new, old = now.get(split, {}).get(metric), before.get(split, {}).get(metric)
        if new is None or not old:
            continue
        drop = (old - new) / old
        figures[f"drop {split}"] = float(drop)
        passed = passed and drop <= limit
        lines.append(f"{split}: {new:.4f}, before {old:.4f} ({-drop:+.1%})")
    text = f"{metric} on " + "; ".join(lines) if lines else "nothing to compare with yet"
    return Verdict(passed, f"{text} (allowed: -{limit:.0%})", figures)


def above_baseline(
    now: Mapping[str | None, Facts], stage: str, baseline: str, metric: str, below: float
) -> Verdict:
    """``stage`` must reach ``baseline`` on ``metric``, in each split that it has not learned."""
    figures: dict[str, Any] = {}
    lines = []
    passed = True
    for split in JUDGED:
        reached = now.get(split, {}).get(f"{stage} {metric}")
        reference = now.get(split, {}).get(f"{baseline} {metric}")
        if reached is None or reference is None:
            continue
        lead = float(reached - reference) / max(reference, 1e-9)
        figures[f"lead {split}"] = lead
        passed = passed and lead >= -below
        lines.append(f"{split}: {reached:.4f} against {reference:.4f} ({lead:+.1%})")
    text = "; ".join(lines) or "not measured on valid or test yet"
    return Verdict(passed, f"{stage} and {baseline}, {metric}: {text}", figures)


def index_answers(facts: Facts, items: int, min_recall: float) -> Verdict:
    """An index must hold every item and find what exact search finds."""
    rows, recall = facts.get("dagster/row_count", 0), facts.get("recall_vs_exact@100", 0.0)
    return Verdict(
        rows == items and recall >= min_recall,
        f"{rows:,} rows for {items:,} items; recall@100 against exact search {recall:.3f} "
        f"(wanted: {min_recall})",
        {"rows": rows, "items": items, "recall_vs_exact@100": float(recall)},
    )


def no_skew(facts: Mapping[str | None, Facts], checks: CheckSettings) -> Verdict:
    """Features must be the same alone and in a batch, and lie where they lay in training."""
    figures: dict[str, Any] = {}
    lines = []
    passed = True
    for split in JUDGED:
        found = facts.get(split, {})
        if "request_batch_difference" not in found:
            continue
        alone, moved = found["request_batch_difference"], found["largest_feature_shift"]
        figures |= {f"difference {split}": float(alone), f"shift {split}": float(moved)}
        passed = passed and alone <= 1e-4 and moved <= checks.max_feature_skew
        names = {n.removeprefix("shift "): v for n, v in found.items() if n.startswith("shift ")}
        worst = max(names, key=lambda name: abs(names[name]), default="")
        lines.append(f"{split}: {worst} moved by {moved:.2f} deviations, alone off by {alone:.2g}")
    text = "; ".join(lines) or "not measured on valid or test yet"
    return Verdict(passed, f"{text} (allowed: {checks.max_feature_skew:g})", figures)
