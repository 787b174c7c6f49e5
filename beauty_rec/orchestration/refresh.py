"""Stale-only refresh: build what is missing or out of date, in order, re-checking before each.

>>> # doctest: +SKIP
>>> for result in refresh(definitions, instance, plan(definitions)):
...     print(result.status, result.step, result.seconds)
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from beauty_rec.orchestration.staleness import stale_reason
from beauty_rec.settings import SPLITS

Status = Literal["built", "fresh", "failed"]
REFRESH_TAG = "beauty_rec/refresh"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Step:
    """One asset, or one split of a partitioned one."""

    key: dg.AssetKey
    partition: str | None = None

    def __str__(self) -> str:
        name = self.key.to_user_string()
        return name if self.partition is None else f"{name}[{self.partition}]"


@dataclass(frozen=True)
class StepResult:
    """What became of a step; ``reason`` says why it was built, or what failed."""

    step: Step
    status: Status
    seconds: float
    reason: str = ""


class SelectionError(ValueError):
    """A selection names nothing that exists; the message lists what does."""


def plan(
    definitions: dg.Definitions, select: str | None = None, partition: str | None = None
) -> list[Step]:
    """Return the steps of a selection in the order of the graph.

    Args:
        definitions: the code location.
        select: names with Dagster's selection syntax, parted by commas (``keywords+,text_index``);
            everything when None.
        partition: only this split, and only assets that have splits.

    Raises:
        SelectionError: nothing is selected.
    """
    graph = definitions.resolve_asset_graph()
    chosen = _selected_keys(definitions, graph, select)
    steps = []
    for key in graph.toposorted_asset_keys:
        if key not in chosen or not graph.get(key).is_materializable:
            continue
        if not graph.get(key).is_partitioned:
            steps += [] if partition else [Step(key)]
        else:
            steps += [Step(key, split) for split in SPLITS if partition in (None, split)]
    if not steps:
        raise SelectionError(
            f"nothing to do for --select {select!r} --partition {partition!r}: "
            "an asset without splits cannot be asked for one"
        )
    return steps


def refresh(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    steps: Sequence[Step],
    *,
    force: bool = False,
) -> Iterator[StepResult]:
    """Build the stale steps one by one, each as a run of its own, and yield what became of each.

    A step whose parent failed in this refresh is not tried and counts as failed.
    """
    graph = definitions.resolve_asset_graph()
    job = definitions.resolve_implicit_global_asset_job_def()
    tags = {REFRESH_TAG: uuid.uuid4().hex[:12]}
    failed: set[dg.AssetKey] = set()
    for step in steps:
        started = time.perf_counter()

        def result(status: Status, reason: str = "", since: float = started) -> StepResult:
            return StepResult(step, status, time.perf_counter() - since, reason)  # noqa: B023

        broken = sorted(key.to_user_string() for key in graph.get(step.key).parent_keys & failed)
        if broken:
            failed.add(step.key)
            yield result("failed", f"not tried, since {', '.join(broken)} failed")
            continue
        reason = "forced" if force else stale_reason_of(instance, graph, step)
        if reason is None:
            yield result("fresh")
            continue
        run = job.execute_in_process(
            run_config=QUIET,
            instance=instance,
            asset_selection=[step.key],
            partition_key=step.partition,
            tags=tags,
            raise_on_error=False,
        )
        if run.success:
            yield result("built", reason)
        else:
            failed.add(step.key)
            yield result("failed", _failure_message(run))


def preview(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    steps: Sequence[Step],
    *,
    force: bool = False,
) -> Iterator[tuple[Step, Literal["build", "maybe", "fresh"], str]]:
    """Yield what :func:`refresh` would do, and why, without doing it.

    ``maybe``: the step follows one that will be built, and is built if that one's result changes.
    """
    graph = definitions.resolve_asset_graph()
    touched: set[dg.AssetKey] = set()
    for step in steps:
        reason = "forced" if force else stale_reason_of(instance, graph, step)
        parents = sorted(key.to_user_string() for key in graph.get(step.key).parent_keys & touched)
        if reason is not None or parents:
            touched.add(step.key)
        if reason is not None:
            yield step, "build", reason
        elif parents:
            yield step, "maybe", f"follows {', '.join(parents)}"
        else:
            yield step, "fresh", ""


def observe_sources(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """Record the content versions of the raw files.

    Raises:
        Exception: what an observation raised, such as a missing file.
    """
    graph = definitions.resolve_asset_graph()
    sources = [key for key in graph.observable_asset_keys if not graph.get(key).is_materializable]
    definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        run_config=QUIET, instance=instance, asset_selection=sources
    )


def stale_reason_of(instance: dg.DagsterInstance, graph: BaseAssetGraph, step: Step) -> str | None:
    """Return why ``step`` has to be built; None when it is fresh and its checks let it pass."""
    reason = stale_reason(instance, graph, step.key, step.partition)
    if reason is None and _blocked(instance, graph, step.key):
        return "a blocking check failed last time"
    return reason


def _blocked(instance: dg.DagsterInstance, graph: BaseAssetGraph, key: dg.AssetKey) -> bool:
    """Tell whether a blocking check of the asset failed when it was last evaluated."""
    checks = [
        check for check in graph.get_check_keys_for_assets({key}) if graph.get(check).blocking
    ]
    if not checks:
        return False
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
    return any(record.status.value == "FAILED" for record in latest.values())


def _selected_keys(
    definitions: dg.Definitions, graph: BaseAssetGraph, select: str | None
) -> set[dg.AssetKey]:
    if select is None:
        return set(graph.materializable_asset_keys)
    chosen: set[dg.AssetKey] = set()
    for part in filter(None, (piece.strip() for piece in select.replace(" ", ",").split(","))):
        try:
            keys = dg.AssetSelection.from_string(part).resolve(graph)
        except dg.DagsterError:
            keys = set()
        if not keys:
            known = ", ".join(sorted(k.to_user_string() for k in graph.materializable_asset_keys))
            raise SelectionError(f"--select {part!r} names no asset; there are: {known}")
        chosen |= keys
    return chosen


def _failure_message(run: dg.ExecuteInProcessResult) -> str:
    """Return the innermost error of a failed run in one line."""
    for found in run.get_asset_check_evaluations():
        if not found.passed:
            return f"check {found.check_name}: {found.description}"
    for event in run.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None:
                return error.message.strip()
    return "the run failed; see its log in the Dagster UI"
