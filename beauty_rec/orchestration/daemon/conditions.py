"""Conditions under which the daemon builds an asset by itself.

Dagster's own conditions cannot tell the parts of ``split_reviews`` apart: an edited test review
would rebuild what reads train. These ask the same :class:`~.staleness.Look` as `beauty-rec run`,
so both agree on what is stale; equal results stop the cascade here as there.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from beauty_rec.orchestration.dagster_internals import AutomationResult
from beauty_rec.orchestration.refresh.kept import NOTHING, Kept
from beauty_rec.orchestration.refresh.lock import is_refreshing
from beauty_rec.orchestration.refresh.staleness import Look
from beauty_rec.orchestration.storage.holdings import Holdings
from beauty_rec.settings import memory_stamp

_LOOKS: WeakKeyDictionary[Any, dict[Kept, Look]] = WeakKeyDictionary()
"""One look an evaluation: Dagster makes a new asset graph view for each tick."""


def build_when_stale(
    data_dir: Path, kept: Kept = NOTHING, holdings: Holdings | None = None
) -> dg.AutomationCondition[Any]:
    """Return the condition of every asset.

    An asset is asked for when it is missing or stale, nothing above it is (so each is built once,
    in order), neither it nor a parent is being built, no refresh of the data folder runs, or was
    given other settings since, and it was not asked for before with the same code and inputs: a
    failed asset is tried again when something changed, by a job or by hand, not every half minute.

    Args:
        data_dir: where a refresh would hold its turn.
        kept: what is left as it is while only its data changed.
        holdings: the artifacts; one that is missing or damaged is stale.
    """
    return (
        IsStale(kept, holdings)
        & ~WaitsForAncestors(kept, holdings)
        & ~dg.AutomationCondition.in_progress()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~RefreshRuns(data_dir)
        & ~SettingsChanged(data_dir, memory_stamp(data_dir))
        & NotAskedForYet(kept, holdings)
    ).with_label("stale, and all above it is settled")


@dataclass(frozen=True)
class IsStale(dg.AutomationCondition[Any]):
    """Missing, damaged, or its code, settings or the parts that it reads of its inputs changed."""

    kept: Kept
    holdings: Holdings | None
    name = "is_stale"
    description = "Missing, damaged, or its code, settings or what it reads of its inputs changed"
    requires_cursor = False

    def evaluate(self, context: Any) -> AutomationResult[Any]:
        look = _look(context, self.kept, self.holdings)
        return AutomationResult(
            context, _subset(context, lambda split: look.due(context.key, split) is not None)
        )


@dataclass(frozen=True)
class WaitsForAncestors(dg.AutomationCondition[Any]):
    """Something above it is missing or stale."""

    kept: Kept
    holdings: Holdings | None
    name = "waits_for_ancestors"
    description = "Something above it is missing or stale"
    requires_cursor = False

    def evaluate(self, context: Any) -> AutomationResult[Any]:
        look = _look(context, self.kept, self.holdings)
        return AutomationResult(
            context, _subset(context, lambda split: look.waits(context.key, split))
        )


@dataclass(frozen=True)
class RefreshRuns(dg.AutomationCondition[Any]):
    """A job or `beauty-rec run` is refreshing the data folder."""

    data_dir: Path
    name = "refresh_runs"
    description = "A job or `beauty-rec run` is refreshing the data folder"
    requires_cursor = False

    def evaluate(self, context: Any) -> AutomationResult[Any]:
        busy = not context.candidate_subset.is_empty and is_refreshing(self.data_dir)
        return AutomationResult(
            context, context.candidate_subset if busy else context.get_empty_subset()
        )


@dataclass(frozen=True)
class SettingsChanged(dg.AutomationCondition[Any]):
    """The data folder remembers other settings than the code location was loaded with."""

    data_dir: Path
    loaded: str
    name = "settings_changed"
    description = "Settings changed: reload the code location"
    requires_cursor = False

    def evaluate(self, context: Any) -> AutomationResult[Any]:
        changed = memory_stamp(self.data_dir) != self.loaded
        return AutomationResult(
            context, context.candidate_subset if changed else context.get_empty_subset()
        )


@dataclass(frozen=True)
class NotAskedForYet(dg.AutomationCondition[Any]):
    """It was not yet asked for with the code and the inputs that it has now."""

    kept: Kept
    holdings: Holdings | None
    name = "not_asked_for_yet"
    description = "Not yet asked for with the code and inputs that it has now"

    def evaluate(self, context: Any) -> AutomationResult[Any]:
        look = _look(context, self.kept, self.holdings)
        seen, asked = json.loads(context.cursor) if context.cursor else ({}, {})
        before = context.get_previous_requested_subset(context.key)
        for split in _splits(before) if before is not None else ():
            if (name := split or "") in seen:
                asked[name] = seen[name]
        seen = {
            split or "": look.fingerprint(context.key, split)
            for split in _splits(context.candidate_subset)
        }
        found = _subset(context, lambda split: seen[split or ""] != asked.get(split or ""))
        return AutomationResult(context, found, cursor=json.dumps([seen, asked]))


def _look(context: Any, kept: Kept, holdings: Holdings | None) -> Look:
    view = context.asset_graph_view
    looks = _LOOKS.setdefault(view, {})
    if kept not in looks:
        looks[kept] = Look(view.instance, view.asset_graph, kept, holdings)
    return looks[kept]


def _splits(subset: Any) -> Iterable[str | None]:
    if subset.is_empty:
        return []
    return sorted(subset.expensively_compute_partition_keys()) if subset.is_partitioned else [None]


def _subset(context: Any, holds: Callable[[str | None], bool]) -> Any:
    """Return the part of the candidates for which ``holds``."""
    candidates = context.candidate_subset
    kept = {split for split in _splits(candidates) if holds(split)}
    if not candidates.is_partitioned:
        return candidates if kept else context.get_empty_subset()
    return context.asset_graph_view.get_subset_from_partition_keys(
        context.key, context.partitions_def, kept
    )
