"""The state of an experiment as plain values: for the operator's endpoint, terminal and page."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from beauty_rec.recommender.online.experiments.file import Experiment, ExperimentError
from beauty_rec.recommender.online.sets.manifest import ManifestError
from beauty_rec.serving.published.manifest import known_sets, read_manifest
from beauty_rec.serving.published.release import Served, served
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.experiment.figures import (
    Counted,
    Read,
    better,
    comparisons,
    count,
    variant_figures,
)
from beauty_rec.serving.state.experiment.running import read_experiment

LEAST_SECONDS = 1.0
"""Between two counts, and ten times what the last one took."""


class Figures:
    """The counts of an experiment, as of a moment ago at most; threads may share it.

    Args:
        read: asks the store.
    """

    def __init__(self, read: Read) -> None:
        self._read, self._lock = read, Lock()
        self._counted: tuple[str, Counted, str] | None = None
        self._until = 0.0

    def of(self, name: str) -> tuple[Counted, str | None]:
        """Return the counts of an experiment, and when they were made, ISO 8601 in UTC.

        While the database is away those from before; none where there are none.
        """
        with self._lock:
            known = self._counted if self._counted and self._counted[0] == name else None
            if known is None or time.monotonic() >= self._until:
                began = time.monotonic()
                try:
                    counted = count(self._read, name)
                    now = datetime.now(UTC).isoformat(timespec="seconds")
                    known = self._counted = (name, counted, now)
                except DatabaseDown:
                    pass
                took = time.monotonic() - began
                self._until = time.monotonic() + max(LEAST_SECONDS, 10 * took)
            return (known[1], known[2]) if known is not None else ({}, None)


def report(
    experiment: Experiment | None,
    started_at: str | None,
    refused: str | None,
    figures: Figures | None,
    sets: Mapping[str, str],
) -> dict[str, Any]:
    """Return what ``/v1/experiment`` says of an experiment; None: of none.

    Args:
        experiment: that runs.
        started_at: when it began.
        refused: why its file is not at work.
        figures: count it; None: there is no store, and nothing was shown.
        sets: variant → the set that answers for it.
    """
    state = "running" if experiment is not None else "refused" if refused else "none"
    found: dict[str, Any] = {
        "state": state,
        "refused": refused,
        **dict.fromkeys(("name", "metric", "alpha", "control", "started_at", "counted_at")),
        "variants": [],
        "comparisons": [],
        "better": None,
        "verdict": "no experiment runs",
        "shadow": None,
    }
    if experiment is None:
        return found
    counted, at = ({}, None) if figures is None else figures.of(experiment.name)
    compared = comparisons(counted, experiment)
    winner, verdict = better(compared, experiment)
    return found | {
        "name": experiment.name,
        "metric": experiment.metric,
        "alpha": experiment.alpha,
        "control": experiment.baseline,
        "started_at": started_at,
        "counted_at": at,
        "variants": [
            {
                "name": name,
                "share": variant.share,
                "set": sets[name],
                "settings": variant.alone.said,
                **variant_figures(counted, name),
            }
            for name, variant in experiment.variants.items()
        ],
        "comparisons": compared,
        "better": winner,
        "verdict": verdict,
    }


def sets_of(experiment: Experiment, current: str) -> dict[str, str]:
    """Return the set that answers for each variant and the shadow, one being served now."""
    return {name: part.set or current for name, part in experiment.parts}


def sets_report(root: Path, before: Served, loaded: frozenset[str]) -> dict[str, Any]:
    """Return what is served and the sets that there are, the latest first.

    Args:
        root: ``data/serving``.
        before: what was served last: it goes on while the files that say what is are damaged.
        loaded: sets that a server holds.
    """
    newest, now, why = None, before, None
    try:
        newest = read_manifest(root).set
        now = served(root)
    except (FileNotFoundError, ManifestError) as error:
        why = f"it was served before, and goes on: {error}"
    release = now.release
    since = now.manifest.created_at if release is None else max(
        release.since, now.manifest.created_at
    )  # fmt: skip
    return {
        "served": {
            "set": now.manifest.set,
            "settings": now.settings.said,
            "why": why or now.why,
            "since": since,
            "pinned": release is not None and release.pinned,
        },
        "sets": [
            {
                "set": manifest.set,
                "published_at": manifest.created_at,
                "is_served": manifest.set == now.manifest.set,
                "is_latest": manifest.set == newest,
                "is_loaded": manifest.set in loaded,
            }
            for manifest in known_sets(root)
        ],
    }


def folder_report(root: Path, read: Read | None) -> dict[str, Any]:
    """Return the state of the experiment of a data folder, without a server.

    Args:
        root: ``data/serving``.
        read: asks the store; None: there is none.
    """
    now = served(root)
    found, refused = None, None
    try:
        found = read_experiment(root)
    except ExperimentError as error:
        refused = str(error)
    experiment, started_at = found or (None, None)
    figures = None if read is None else Figures(read)
    sets = {} if experiment is None else sets_of(experiment, now.manifest.set)
    said = report(experiment, started_at, refused, figures, sets)
    return said | sets_report(root, now, frozenset({now.manifest.set}))
