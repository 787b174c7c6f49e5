"""The experiment that a server runs: read from its file, and again whenever that changes."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from beauty_rec.recommender.online.experiments.arms import ordered_path, refuse_unknown_orders
from beauty_rec.recommender.online.experiments.explore import Explorer
from beauty_rec.recommender.online.experiments.file import (
    AnswerSettings,
    Experiment,
    ExperimentError,
    parse_experiment,
)
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.sets.manifest import Manifest
from beauty_rec.recommender.online.sets.parts import RERANKER
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.orders import Orders
from beauty_rec.recommender.path import AnswerPath
from beauty_rec.serving.published.kept import EXPERIMENT
from beauty_rec.serving.published.manifest import VERSIONS
from beauty_rec.serving.published.release import UnknownSet, manifest_of, served
from beauty_rec.serving.state.experiment.beside import BesideSet, Given
from beauty_rec.serving.state.given import GivenRows

LOG = logging.getLogger("beauty_rec.serving")
TRY_AGAIN_SECONDS = 30.0
"""After which sets that could not be loaded are tried once more."""


class Arm:
    """What answers for a variant; threads may share it.

    Args:
        name: of the variant.
        settings: what differs in its answers.
        beside: its set; None: the one that is served.
    """

    def __init__(self, name: str, settings: AnswerSettings, beside: BesideSet | None) -> None:
        self.name, self.settings, self.beside = name, settings, beside
        self.explorer = Explorer(settings.explore) if settings.explore else None
        self._made: tuple[AnswerPath, AnswerSettings, AnswerPath] | None = None

    def shop(self, live: Snapshot, given: Given, released: AnswerSettings) -> Snapshot:
        """Return what it answers from: its own settings go before those that were promoted."""
        shop = live if self.beside is None else self.beside.shop(given)
        made = self._made
        if made is None or made[0] is not shop.path or made[1] is not released:
            path = ordered_path(ordered_path(shop.path, released), self.settings)
            made = self._made = (shop.path, released, path)  # a path keeps what it has computed
        return shop if made[2] is shop.path else replace(shop, path=made[2])


@dataclass(frozen=True)
class Running:
    """An experiment at work; ``started_at`` is ISO 8601 in UTC, ``besides`` are its sets."""

    experiment: Experiment
    arms: Mapping[str, Arm]
    shadow: Arm | None
    started_at: str
    besides: Mapping[str, BesideSet]


def read_experiment(root: Path) -> tuple[Experiment, str] | None:
    """Return the experiment below ``root`` and when it began, held against the sets there.

    None: there is none.

    Raises:
        ExperimentError: the file is not valid, or names what is not there.
    """
    path = root / EXPERIMENT
    try:
        text = path.read_text(encoding="utf-8")
        began = path.stat().st_mtime
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path} cannot be read: {error}") from None
    experiment = parse_experiment(text, str(path))
    check_sets(root, experiment, str(path))
    return experiment, datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")


def check_sets(root: Path, experiment: Experiment, where: str) -> None:
    """Hold an experiment against the published sets.

    Raises:
        ExperimentError: it names a set or an order that is not there.
    """
    for name, variant in experiment.parts:
        at = "shadow" if name not in experiment.variants else f"variants.{name}"
        try:
            wanted = served(root).manifest.set if variant.set is None else variant.set
            if variant.set is not None:
                manifest_of(root, variant.set)
            refuse_unknown_orders(Orders.load(root / VERSIONS / wanted / RERANKER), variant)
        except UnknownSet as error:
            raise ExperimentError(f"{where}: {at}.set: {error}") from None
        except ExperimentError as error:
            raise ExperimentError(f"{where}: {at}.order: {error}") from None


class ExperimentKeeper:
    """The experiment of a server; threads may share it.

    Args:
        root: ``data/serving``.
        load: reads and tries a set that is to be served beside.
    """

    def __init__(self, root: Path, load: Callable[[Manifest], Snapshot]) -> None:
        self._root, self._load, self._lock = root, load, threading.Lock()
        self.running: Running | None = None
        self.refused: str | None = None
        """Why the file is not at work as it is now; None when it is."""
        self.refusals = 0
        self._failed: tuple[Experiment, float] | None = None

    def look(self, live: Snapshot) -> bool:
        """Read the file again; return whether another experiment, or none, runs now.

        A file that is not valid, or whose sets cannot be served, is refused, and the experiment
        from before goes on.
        """
        with self._lock:
            try:
                found = read_experiment(self._root)
                changed = self._take(found, live)
            except Exception as error:
                if str(error) != self.refused:
                    self.refusals += 1
                    said = {"event": "experiment_refused", "error": str(error)}
                    LOG.error("experiment", extra=said)
                self.refused = str(error)
                return False
            self.refused = None
            return changed

    def hold(self, base: Snapshot, items: Mapping[str, NewItem], rows: GivenRows) -> None:
        """Keep a set that another one takes the place of, if a variant is answered from it.

        It keeps the given items that it had: what was made of them is known.
        """
        with self._lock:
            running, name = self.running, base.manifest.set
            if running is None or name in running.besides:
                return
            if any(variant.set == name for _, variant in running.experiment.parts):
                held = BesideSet(base)
                held.take_known(items, rows)
                besides = {**running.besides, name: held}
                self.running = _running(running.experiment, running.started_at, besides)

    def base_of(self, name: str) -> Snapshot | None:
        """Return a set that is loaded here already."""
        running = self.running
        beside = running.besides.get(name) if running is not None else None
        return beside.base if beside is not None else None

    def _take(self, found: tuple[Experiment, str] | None, live: Snapshot) -> bool:
        running = self.running
        if found is None:
            self.running = self._failed = None
            return running is not None
        experiment, started_at = found
        known = dict(running.besides) if running is not None else {}
        sets = {variant.set for _, variant in experiment.parts if variant.set is not None}
        needed = {name for name in sets if name in known or name != live.manifest.set}
        is_same = running is not None and (running.experiment, running.started_at) == found
        if is_same and needed <= known.keys():
            return False
        failed, try_again = self._failed or (None, 0.0)
        if failed == experiment and time.monotonic() < try_again:
            raise ExperimentError(self.refused or "its sets cannot be loaded")
        self._failed = (experiment, time.monotonic() + TRY_AGAIN_SECONDS)
        besides = {
            name: known[name] if name in known else BesideSet(self._load(self._manifest(name)))
            for name in sorted(needed)
        }
        self._failed = None
        self.running = _running(experiment, started_at, besides)
        LOG.info(
            "experiment",
            extra={"event": "experiment_runs", "experiment": experiment.name, "sets": len(besides)},
        )
        return True

    def _manifest(self, name: str) -> Manifest:
        return manifest_of(self._root, name)


def _running(experiment: Experiment, started_at: str, besides: Mapping[str, BesideSet]) -> Running:
    arms = {
        name: Arm(name, part.alone, besides.get(part.set) if part.set is not None else None)
        for name, part in experiment.parts
    }
    shadow = arms.pop(experiment.shadow.name) if experiment.shadow is not None else None
    return Running(experiment, arms, shadow, started_at, besides)
