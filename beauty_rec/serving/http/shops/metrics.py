"""Metrics of each shop, and all of them as one text: with a label where there are several."""

import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from beauty_rec.serving.http.telemetry import PREFIX, Traffic
from beauty_rec.serving.state.engine import Engine


class ShopMetrics:
    """The metrics of one shop: ``always`` those that it has even while it is not open."""

    def __init__(self) -> None:
        self.always, self.registry = CollectorRegistry(), CollectorRegistry()
        self.traffic = Traffic(self.always)
        self.ready = Gauge(f"{PREFIX}ready", "1 when ready.", registry=self.always)
        self._database = self._gauge("database_up", "1 when PostgreSQL answers.")
        self._items = self._gauge("items", "Items that are served.")
        self._switches = self._gauge("set_switches", "Switches to another set since the start.")
        self._refusals = self._gauge(
            "set_refusals", "Looks for a newer set that ended in a refusal."
        )
        self._set_age = self._gauge("served_set_age_seconds", "Since the served set was published.")
        self._checked_age = self._gauge(
            "served_set_checked_age_seconds",
            "Since it was published, or found to be up to date by a refresh.",
        )
        self._look_age = self._gauge(
            "set_look_age_seconds", "Since the last look for a newer set came back."
        )
        self._rules = self._gauge("rules", "Rules of the shop that are at work.")
        self._rules_refused = self._gauge(
            "rules_refused", "1 while the file of the rules is not valid."
        )
        self._rules_refusals = self._gauge(
            "rules_refusals", "Versions of that file that were refused since the start."
        )
        self._served = Gauge(
            f"{PREFIX}served_set", "1 for the set that is served.", ["set"],
            registry=self.registry,
        )  # fmt: skip

    def look(self, engine: Engine) -> None:
        """Set what is known by looking."""
        self._database.set(engine.store.healthy)
        self._items.set(len(engine.shop.catalogue))
        self._switches.set(engine.switches)
        self._refusals.set(engine.refusals)
        self._set_age.set(engine.set_age_seconds)
        self._checked_age.set(engine.checked_age_seconds)
        self._look_age.set(time.monotonic() - engine.looked)
        self._rules.set(len(engine.rules))
        self._rules_refused.set(engine.rules.refused is not None)
        self._rules_refusals.set(engine.rules.refusals)
        self._served.clear()
        self._served.labels(engine.shop.manifest.set).set(1)

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", about, registry=self.registry)


class Together(Collector):
    """Several registries as one; each may add a label ``shop`` to all that it has."""

    def __init__(self, registries: Iterable[tuple[CollectorRegistry, str | None]]) -> None:
        self._registries = list(registries)

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once, with the samples of all registries."""
        found: dict[str, Metric] = {}
        for registry, shop in self._registries:
            label = {} if shop is None else {"shop": shop}
            for metric in registry.collect():
                mine = found.setdefault(
                    metric.name, Metric(metric.name, metric.documentation, metric.type)
                )
                mine.samples += [
                    sample._replace(labels={**label, **sample.labels}) for sample in metric.samples
                ]
        yield from found.values()
