"""The experiment as operators see it: its figures for ``/metrics``, and the whole of its state."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from beauty_rec.serving.published.release import Served
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.experiment.figures import comparisons, variant_figures
from beauty_rec.serving.state.experiment.shadow import ShadowLane
from beauty_rec.serving.state.experiment.status import Figures, report, sets_of, sets_report

PREFIX = "beauty_rec_experiment_"
REFRESH_SECONDS = 10.0
"""Between two counts for /metrics."""
FIGURES = ("users", "shown", "clicks", "purchases", "ctr", "conversion")


class ExperimentView(Collector):
    """What is said of the experiment of a server.

    Args:
        engine: that runs it.
        shadow: its shadow, if it has one.
    """

    def __init__(self, engine: Engine, shadow: ShadowLane) -> None:
        self._engine, self._shadow = engine, shadow
        self._figures = Figures(engine.store.read_aside)
        self._families: list[GaugeMetricFamily] = []

    def state(self) -> dict[str, Any]:
        """Return what ``/v1/experiment`` answers; it reads the store, at most once a second."""
        engine = self._engine
        keeper = engine.experiments
        running = keeper.running
        experiment = running.experiment if running is not None else None
        current = engine.shop.manifest.set
        sets = {} if experiment is None else sets_of(experiment, current)
        found = report(
            experiment,
            None if running is None else running.started_at,
            keeper.refused,
            self._figures,
            sets,
        )
        if experiment is not None and experiment.shadow is not None:
            name = experiment.shadow.name
            found["shadow"] = self._shadow.report(experiment.name, name, sets[name])
        before = Served(engine.shop.manifest, engine.released, None)
        loaded = frozenset({current, *(running.besides if running is not None else ())})
        return found | sets_report(engine.root, before, loaded)

    def refresh(self) -> None:
        """Count anew for ``/metrics``."""
        running = self._engine.experiments.running
        self._families = [] if running is None else list(self._made(running.experiment))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the figures of the last count."""
        yield from self._families

    def _made(self, experiment: Any) -> Iterator[GaugeMetricFamily]:
        counted, _ = self._figures.of(experiment.name)
        labels = ["experiment", "variant"]
        by_variant = {name: variant_figures(counted, name) for name in experiment.variants}
        for figure in FIGURES:
            family = GaugeMetricFamily(PREFIX + figure, f"{figure} by variant.", labels=labels)
            for name, figures in by_variant.items():
                if figures[figure] is not None:
                    family.add_metric([experiment.name, name], figures[figure])
            yield family
        compared = comparisons(counted, experiment)
        for figure, about in (
            ("p_value", "Always valid, against the control."),
            ("difference", "Of the rates, to the control's."),
            ("difference_low", "Its confidence sequence."),
            ("difference_high", "Its confidence sequence."),
        ):
            family = GaugeMetricFamily(PREFIX + figure, about, labels=[*labels, "metric"])
            key = {"p_value": "p"}.get(figure, figure.removeprefix("difference_"))
            for each in compared:
                if each[key] is not None:
                    place = [experiment.name, each["variant"], each["metric"]]
                    family.add_metric(place, each[key])
            yield family
