"""What blocking checks say of what was built last.

Dagster notes a check as planned when it makes a run, and writes the verdict over the note once
there is one. So the last record is not the last verdict: a run that broke, or was killed, before
the check leaves the note above what an earlier run found.
"""

from typing import Any

import dagster as dg

from beauty_rec.orchestration.dagster_internals import (
    JUDGED,
    AssetCheckExecutionRecord,
    BaseAssetGraph,
)
from beauty_rec.orchestration.refresh.dead_runs import IN_PROGRESS, is_dead

BLOCKED = "a blocking check failed last time"
UNJUDGED = "a blocking check has not judged it"


def refusal(
    instance: dg.DagsterInstance,
    graph: BaseAssetGraph[Any],
    key: dg.AssetKey,
    built: dg.EventLogRecord,
) -> str | None:
    """Return why what was built last may not be used, or None.

    Args:
        instance: where the records are.
        graph: of the code location.
        key: of the asset.
        built: the last materialization of it, or of one of its splits.
    """
    said = [
        _said(instance, check, built)
        for check in graph.get_check_keys_for_assets({key})
        if graph.get(check).blocking
    ]
    return BLOCKED if BLOCKED in said else UNJUDGED if UNJUDGED in said else None


def _said(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, built: dg.EventLogRecord
) -> str | None:
    history = instance.event_log_storage.get_asset_check_execution_history
    verdicts = history(check, limit=1, status=JUDGED)
    if verdicts and _is_of(verdicts[0], built):
        return BLOCKED if verdicts[0].status.value == "FAILED" else None
    if not verdicts and not history(check, limit=1):
        return None  # the check is younger than what was built, which nobody need build anew
    run = instance.get_run_by_id(built.run_id)
    judging = run is not None and run.status in IN_PROGRESS and not is_dead(instance, run)
    return None if judging else UNJUDGED


def _is_of(verdict: AssetCheckExecutionRecord, built: dg.EventLogRecord) -> bool:
    """Whether a verdict is of what was built last, or of a later split, judged with all others."""
    judged = verdict.evaluation.target_materialization_data if verdict.evaluation else None
    if judged is None:  # reported from outside
        return verdict.event is not None and verdict.event.timestamp >= built.timestamp
    return judged.storage_id >= built.storage_id
