"""The refresh of a data folder, from lock to counts: what the command and every job do.

>>> # doctest: +SKIP
>>> with folder_refresh(definitions, instance, data_dir, Request()) as results:
...     for result in results:
...         print(result.status, result.step)
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from beauty_rec.orchestration.refresh.dead_runs import end_dead_runs
from beauty_rec.orchestration.refresh.drafts import sweep
from beauty_rec.orchestration.refresh.forgetting import drop_forgotten
from beauty_rec.orchestration.refresh.lock import PARENT_TAG, REFRESH_TAG, refresh_turn
from beauty_rec.orchestration.refresh.refresh import (
    Status,
    Step,
    StepResult,
    observe_sources,
    plan,
    refresh,
)
from beauty_rec.orchestration.refresh.worker import Worker
from beauty_rec.serving.published.checked import note_checked
from beauty_rec.settings import Measure, Train

PUBLISHED = Step(dg.AssetKey("serving_manifest"))


@dataclass(frozen=True)
class Request:
    """What to refresh, and how far; see :func:`~.refresh.plan` and :func:`~.refresh.refresh`."""

    select: str | None = None
    partition: str | None = None
    force: bool = False
    train: Train = "stale"
    measure: Measure = "stale"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FolderRefresh:
    """A refresh under way: iterate over it; ``counts`` grow as it goes on.

    Attributes:
        ended_runs: ids of runs of killed processes whose records were closed.
        served_is_fresh: the published set was found to be up to date.
    """

    results: Iterator[StepResult]
    ended_runs: list[str]
    counts: dict[Status, int] = field(default_factory=lambda: {"built": 0, "fresh": 0, "failed": 0})
    began: float = field(default_factory=time.perf_counter)
    served_is_fresh: bool = False

    def __iter__(self) -> Iterator[StepResult]:
        for result in self.results:
            self.counts[result.status] += 1
            if result.step == PUBLISHED:
                self.served_is_fresh = result.status == "fresh"
            yield result

    @property
    def summary(self) -> str:
        """``3 built, 34 fresh, 0 failed in 12.0 s``."""
        totals = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        return f"{totals} in {time.perf_counter() - self.began:.1f} s"


@contextmanager
def folder_refresh(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    data_dir: Path,
    request: Request,
    patience: float = 0,
    prepare: Callable[[], object] = lambda: None,
) -> Iterator[FolderRefresh]:
    """Yield the refresh of ``data_dir``: dead runs ended, drafts swept, sources observed, locked.

    An exception that a signal raises here, or while the refresh is iterated over, stops the step
    that is being built, and marks its run as cancelled; no further one begins.

    Args:
        definitions: the code location.
        instance: where the records are.
        data_dir: what is refreshed.
        request: how far.
        patience: seconds to wait for another process that builds in the folder.
        prepare: called before the sources are observed, when nobody else builds: writes inputs.

    Raises:
        SelectionError: the request selects nothing.
        RefreshRunningError: another process builds in the folder.
    """
    steps = plan(definitions, request.select, request.partition)
    tags = {**request.tags, REFRESH_TAG: uuid.uuid4().hex[:12]}
    own = {REFRESH_TAG: tags[REFRESH_TAG]}
    with refresh_turn(data_dir, patience), Worker(instance, own) as worker:
        ended = end_dead_runs(instance)
        sweep(data_dir, instance, request.tags.get(PARENT_TAG))
        prepare()
        worker.call(observe_sources, definitions, instance, tags)
        results = refresh(
            definitions,
            instance,
            steps,
            force=request.force,
            train=request.train,
            measure=request.measure,
            tags=tags,
        )
        refreshed = FolderRefresh(worker.each(results), ended)
        yield refreshed
        # Of a part of the graph it says nothing: what is above the set may be stale.
        if refreshed.served_is_fresh and request.select is None and request.partition is None:
            note_checked(data_dir / "serving")
        drop_forgotten(definitions)
