"""Stale-only refresh: build what is missing or out of date, in order, re-checking before each.

`beauty-rec run` and the jobs of the daemon are this and nothing else.

>>> # doctest: +SKIP
>>> for result in refresh(definitions, instance, plan(definitions)):
...     print(result.status, result.step, result.seconds)
"""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg

from beauty_rec.orchestration.dagster_internals import BaseAssetGraph, ExecutionResult
from beauty_rec.orchestration.refresh.dead_runs import process_tags
from beauty_rec.orchestration.refresh.kept import MEASURES, TRAININGS, Kept, Stale
from beauty_rec.orchestration.refresh.lock import REFRESH_TAG
from beauty_rec.orchestration.refresh.staleness import Look
from beauty_rec.orchestration.stage.cluster import run_step
from beauty_rec.orchestration.storage.holdings import Holdings
from beauty_rec.settings import SPLITS, Measure, Train

Status = Literal["built", "fresh", "failed"]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Step:
    """One asset, or one split of a partitioned one."""

    key: dg.AssetKey
    partition: str | None = None

    @property
    def name(self) -> str:
        """The asset's."""
        return self.key.to_user_string()

    def __str__(self) -> str:
        return self.name if self.partition is None else f"{self.name}[{self.partition}]"


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
        select: names with Dagster's selection syntax, parted by commas (``keywords+,group:index``);
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
        if not chosen:
            why = "it names no asset; leave it out for all"
        elif not chosen & graph.materializable_asset_keys:
            why = "it names inputs alone, which every run looks at and none builds"
        else:
            why = "an asset without splits cannot be asked for one"
        asked = f"--select {select!r}" + (f" --partition {partition}" if partition else "")
        raise SelectionError(f"nothing to do for {asked}: {why}")
    return steps


def refresh(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    steps: Sequence[Step],
    *,
    force: bool = False,
    train: Train = "stale",
    measure: Measure = "stale",
    tags: Mapping[str, str] | None = None,
    trainings: frozenset[str] = TRAININGS,
    measures: frozenset[str] = MEASURES,
) -> Iterator[StepResult]:
    """Build the stale steps one by one, each as a run of its own, and yield what became of each.

    A step of which an input failed in this refresh is not tried and counts as failed.

    Args:
        definitions: the code location.
        instance: where the records are.
        steps: of :func:`plan`.
        force: build fresh steps too, but not those that ``train`` and ``measure`` leave.
        train: ``never``: models of which only the data changed stay as they were trained;
            ``always``: they are trained anew even if fresh.
        measure: ``never``: answers to the events of the splits, and their metrics, stay while the
            models, and all that is made of them, do.
        tags: of the runs, further ones.
        trainings, measures: names of the assets that ``train`` and ``measure`` are about.
    """
    graph = definitions.resolve_asset_graph()
    tags = {REFRESH_TAG: uuid.uuid4().hex[:12], **process_tags(instance), **(tags or {})}
    kept = Kept.of(train, measure, force=force, trainings=trainings, measures=measures)
    failed: set[Step] = set()
    holdings = Holdings.of(definitions)
    look = Look(instance, graph, kept, holdings)
    for step in steps:
        started = time.perf_counter()

        def result(status: Status, reason: str = "", since: float = started) -> StepResult:
            return StepResult(step, status, time.perf_counter() - since, reason)  # noqa: B023

        broken = _among_inputs(failed, step, look)
        if broken:
            failed.add(step)
            yield result("failed", f"not tried, since {', '.join(map(str, broken))} failed")
            continue
        found = look.stale(step.key, step.partition)
        if kept.forces(step.name):
            found = found or Stale("forced", by_data=False)
        elif found is not None and look.keeps(step.key, step.partition, found):
            yield result("fresh", f"{kept.why(step.name)}, though {found.reason}")
            continue
        if found is None:
            yield result("fresh")
            continue
        run = run_step(definitions, instance, step.key, step.partition, tags, QUIET)
        look = Look(instance, graph, kept, holdings)
        if run.success:
            yield result("built", found.reason)
        else:
            failed.add(step)
            yield result("failed", _failure_message(run))


def preview(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    steps: Sequence[Step],
    *,
    force: bool = False,
    train: Train = "stale",
    measure: Measure = "stale",
    trainings: frozenset[str] = TRAININGS,
    measures: frozenset[str] = MEASURES,
) -> Iterator[tuple[Step, Literal["build", "maybe", "fresh"], str]]:
    """Yield what :func:`refresh` would do, and why, without doing it.

    ``maybe``: the step follows one that will be built, and is built if that one's result changes.
    """
    graph = definitions.resolve_asset_graph()
    touched: set[Step] = set()
    kept = Kept.of(train, measure, force=force, trainings=trainings, measures=measures)
    look = Look(instance, graph, kept, Holdings.of(definitions))
    for step in steps:
        stale = look.stale(step.key, step.partition)
        reason = stale.reason if stale else ""
        parents = _among_inputs(touched, step, look)
        changed = {(above.key, above.partition) for above in touched}
        found = look.foreseen(step.key, step.partition, changed)
        if kept.forces(step.name):
            yield step, "build", reason or "forced"
        elif found is None or look.keeps(step.key, step.partition, found, changed):
            yield step, "fresh", f"{kept.why(step.name)}, though {reason}" if reason else ""
            continue
        elif reason:
            yield step, "build", reason
        else:
            yield step, "maybe", f"follows {', '.join(map(str, parents))}"
        touched.add(step)


def observe_sources(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Record the content versions of the raw files, in a run with ``tags``.

    Raises:
        Exception: what an observation raised, such as a missing file.
    """
    graph = definitions.resolve_asset_graph()
    sources = [key for key in graph.observable_asset_keys if not graph.get(key).is_materializable]
    definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        run_config=QUIET,
        instance=instance,
        asset_selection=sources,
        tags={**process_tags(instance), **(tags or {})},
    )


def _among_inputs(steps: Set[Step], step: Step, look: Look) -> list[Step]:
    """Return those of ``steps`` that a step reads, by name: of a parent not every split."""
    inputs = {Step(*place) for place in look.inputs(step.key, step.partition)}
    return sorted(inputs & steps, key=str)


def _selected_keys(
    definitions: dg.Definitions, graph: BaseAssetGraph[Any], select: str | None
) -> set[dg.AssetKey]:
    if select is None:
        return set(graph.materializable_asset_keys)
    chosen: set[dg.AssetKey] = set()
    for piece in filter(None, map(str.strip, select.split(","))):
        # Dagster's syntax has blanks of its own; a piece that is not in it may be names.
        parts = [piece] if _keys_of(piece, graph) else piece.split()
        keys = [_keys_of(part, graph) for part in parts]
        if not all(keys):
            known = ", ".join(sorted(k.to_user_string() for k in graph.materializable_asset_keys))
            raise SelectionError(f"--select {piece!r} names no asset; there are: {known}")
        chosen.update(*keys)
    return chosen


def _keys_of(selection: str, graph: BaseAssetGraph[Any]) -> Set[dg.AssetKey]:
    try:
        return dg.AssetSelection.from_string(selection).resolve(graph)
    except dg.DagsterError:
        return frozenset()


def _failure_message(run: ExecutionResult) -> str:
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
