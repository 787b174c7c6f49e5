"""Makers of asset checks. What they decide stands in :mod:`.verdicts`, thresholds in the settings.

A check of an asset with splits judges all of them, by what their last materializations said, so
that its last evaluation is the whole picture whichever split was built.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.catalogue.metrics import BASELINES, PARTS
from beauty_rec.orchestration.checks import served, verdicts
from beauty_rec.orchestration.checks.verdicts import Facts, Verdict
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.settings import SPLITS, Settings

ByPart = Mapping[str | None, Facts]
RERANKED = "reranked"


def value_check(
    asset: dg.AssetsDefinition,
    name: str,
    kind: type,
    judge: Callable[[Any, Settings], Verdict],
    description: str,
    *,
    blocking: bool = True,
) -> dg.AssetChecksDefinition:
    """Return a check that reads the artifact.

    Args:
        asset: of an asset without splits.
        name: of the check.
        kind: the type to read it as.
        judge: decides.
        description: what passes, for the UI.
        blocking: whether what follows waits for it; otherwise it warns.
    """

    @dg.asset_check(asset=asset, name=name, blocking=blocking, description=description)
    def check(settings: dg.ResourceParam[Settings], value: kind) -> dg.AssetCheckResult:  # type: ignore[valid-type]
        return _result(judge(value, settings), blocking)

    return check


def facts_check(
    asset: dg.AssetsDefinition,
    name: str,
    judge: Callable[[ByPart, Settings], Verdict],
    description: str,
    *,
    blocking: bool = False,
    error: bool = False,
) -> dg.AssetChecksDefinition:
    """Return a check of what the asset said of itself, by split (None: it has none).

    Args:
        asset: which asset.
        name: of the check.
        judge: decides.
        description: what passes, for the UI.
        blocking: whether what follows waits for it.
        error: whether a failure is an error although nothing waits; otherwise it is a warning.
    """
    key, parts = asset.key, _parts(asset)

    @dg.asset_check(asset=asset, name=name, blocking=blocking, description=description)
    def check(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.AssetCheckResult:
        facts = {part: latest_metadata(context.instance, key, part) for part in parts}
        return _result(judge(facts, settings), blocking or error)

    return check


def history_check(
    asset: dg.AssetsDefinition,
    name: str,
    judge: Callable[[ByPart, ByPart, Settings], Verdict],
    description: str,
) -> dg.AssetChecksDefinition:
    """Return a check that holds the last materialization of each split against the one before."""
    key, parts = asset.key, _parts(asset)

    @dg.asset_check(asset=asset, name=name, description=description)
    def check(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.AssetCheckResult:
        now, before = (
            {part: latest_metadata(context.instance, key, part, back=back) for part in parts}
            for back in (0, 1)
        )
        return _result(judge(now, before, settings), error=False)

    return check


def vector_checks(
    asset: dg.AssetsDefinition, *, baseline: bool = False, learned: bool = False
) -> list[dg.AssetChecksDefinition]:
    """Return the checks of an asset of item vectors: both stop what follows.

    A ``baseline`` is what it is: that its vectors lie close together is worth a warning. Those that
    are ``learned`` may do so where the items themselves are alike, as their asset says.
    """
    apart = "not_collapsed", "Vectors of different items do not lie on one point."
    return [
        value_check(
            asset,
            "unit_vectors",
            Vectors,
            lambda vectors, settings: verdicts.unit_vectors(
                vectors, settings.checks.norm_tolerance
            ),
            "Every vector is finite and of length 1.",
        ),
        facts_check(
            asset,
            apart[0],
            lambda facts, settings: verdicts.learned_apart(
                facts[None], settings.checks.max_mean_cosine
            ),
            apart[1],
            blocking=True,
        )
        if learned
        else value_check(
            asset,
            apart[0],
            Vectors,
            lambda vectors, settings: verdicts.not_collapsed(
                vectors, settings.checks.max_mean_cosine
            ),
            apart[1],
            blocking=not baseline,
        ),
    ]


def metric_checks(
    asset: dg.AssetsDefinition, baselines: Mapping[str, str]
) -> list[dg.AssetChecksDefinition]:
    """Return the checks of measured stages.

    Args:
        asset: whose metadata has ``<stage> recall@100`` and the like for each split.
        baselines: stage → what it must not fall behind. Of a reranker that is worth a warning, as
            another order may be served; of the other stages it is an error.
    """
    made = []
    for stage, baseline in baselines.items():
        # A reranker keeps what it is given: only the order can be better.
        metric = "ndcg@10" if stage == RERANKED else "recall@100"
        made += [
            history_check(asset, f"{stage}_did_not_drop", _no_drop(stage, metric),
                f"{metric} of {stage} on valid and test has not dropped much since the last run."),
            facts_check(asset, f"{stage}_reaches_{baseline}", _above(stage, baseline, metric),
                f"{metric} of {stage} on valid and test reaches that of {baseline}.",
                error=stage != RERANKED),
        ]  # fmt: skip
    return made


def served_checks(asset: dg.AssetsDefinition) -> list[dg.AssetChecksDefinition]:
    """Return the checks of what is served: both warn, as a set that could be better is refused.

    Args:
        asset: whose metadata names :data:`PARTS` and :data:`BASELINES` for each scenario.
    """
    return [
        facts_check(asset, "served_beats_its_parts", _beats(PARTS),
            "What is served loses beyond chance to no order that it stands beside."),
        facts_check(asset, "served_beats_baselines", _beats(BASELINES),
            "What is served loses beyond chance to no plain baseline that is asked the same."),
    ]  # fmt: skip


def _no_drop(stage: str, metric: str) -> Callable[[ByPart, ByPart, Settings], Verdict]:
    return lambda now, before, settings: _told(
        stage,
        now,
        verdicts.no_drop(now, before, f"{stage} {metric}", settings.checks.max_metric_drop),
    )


def _above(stage: str, baseline: str, metric: str) -> Callable[[ByPart, Settings], Verdict]:
    return lambda facts, settings: _told(
        stage,
        facts,
        verdicts.above_baseline(facts, stage, baseline, metric, settings.checks.max_below_baseline),
    )


def _told(stage: str, facts: ByPart, verdict: Verdict) -> Verdict:
    """Return a verdict on a reranker that says where something else is served."""
    return served.unless_served(verdict, stage, facts) if stage == RERANKED else verdict


def _beats(against: str) -> Callable[[ByPart, Settings], Verdict]:
    return lambda facts, settings: served.loses_to_none(facts, against)


def _parts(asset: dg.AssetsDefinition) -> tuple[str | None, ...]:
    return (None,) if asset.partitions_def is None else SPLITS


def _result(verdict: Verdict, error: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
        description=verdict.text,
        metadata=verdict.figures,
    )
