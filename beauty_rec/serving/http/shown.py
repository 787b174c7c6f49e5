"""The answers of this server as impressions: each gets its id, is kept, and is counted.

The counts are of this process since its start, for ``/metrics``; every label is bounded: kinds,
orders, sources and types are those of the code, positions are 1 to 10 and ``11+``, and versions are
the five that were shown last.
"""

import asyncio
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from beauty_rec.recommender.online.events import CLICKS, CONVERSIONS
from beauty_rec.recommender.online.requests import NewEvent, RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.serving.http.turns.cost import Question, SeveralQuestions, SimilarQuestion
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.experiment.shadow import ShadowLane
from beauty_rec.serving.state.shown.impression import Impression, Kind, impression_of
from beauty_rec.serving.state.shown.writer import ImpressionLog

MOST_VERSIONS = 5
MOST_CHOSEN = 50_000
"""Marks of shown items as clicked or as bought that are remembered: some 15 MB."""
LAST_POSITION = 10
PREFIX = "beauty_rec_"
SLOT = ["version", "variant", "kind", "order", "position"]
SOURCE = ["version", "variant", "source"]


@dataclass
class Counts:
    """Of one version and variant, by what further labels say.

    Attributes:
        since_ms: when the first of its answers was shown.
        shown: items by kind, order and position; ``events``: the same, and the type.
        found: items by source; ``owed``: events by source and type.
        items: that were shown.
        chosen: shown items that were clicked, put into the cart or bought, each once, and those of
            them that were bought.
    """

    since_ms: int
    shown: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    events: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    owed: Counter[tuple[str, str]] = field(default_factory=Counter)
    items: set[str] = field(default_factory=set)
    chosen: Counter[str] = field(default_factory=Counter)


class ShownAnswers(Collector):
    """Notes what is answered. All is called on the event loop; what is entered, on any thread."""

    def __init__(self, engine: Engine, is_busy: Callable[[], bool] = lambda: False) -> None:
        settings = engine.settings.serve
        self._engine = engine
        self._log = ImpressionLog(
            engine.store,
            settings.impression_days,
            lambda: len(engine.shop.catalogue),
            # What is shown is judged by what came of it, so one is not deleted without the other.
            max(settings.look_days, settings.impression_days),
        )
        self._is_kept = settings.impressions and not engine.store.read_only
        self._counts: OrderedDict[str, dict[str, Counts]] = OrderedDict()
        self._chosen: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._given: Counter[str] = Counter()
        self._unattributed = 0
        # Held while it is looked who has left and the answer handed over, so that nobody is
        # forgotten between the two.
        self._noting = threading.Lock()
        self.shadow = ShadowLane(engine, self._log.put, is_busy)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write impressions while this lasts, and what waits at its end; delete what is too old."""
        if not self._engine.store.read_only:
            self._log.start()
        try:
            yield
        finally:
            self.shadow.close()
            self._log.close()

    def note(self, answer: dict[str, Any], question: Question, *, is_seen: bool) -> None:
        """Give an answer its id, and keep it as an impression if people see it.

        One that is asked as if in the past is none, and neither is one without an item. Of a batch
        each answer is one.
        """
        if isinstance(question, SeveralQuestions):
            for one, request in zip(answer["answers"], question.requests, strict=True):
                self._note(one, request, "batch", is_seen=is_seen)
        else:
            self._note(answer, question, _kind_of(question), is_seen=is_seen)

    def _note(
        self, answer: dict[str, Any], question: Question, kind: Kind, *, is_seen: bool
    ) -> None:
        user_id = getattr(question, "user_id", None)  # search and similar have none
        impression = impression_of(answer, kind, user_id)
        answer["recommendation_id"] = impression.recommendation_id
        is_past = isinstance(question, RecommendRequest) and question.at is not None
        if not self._is_kept or not is_seen or is_past or not impression.items:
            return
        with self._noting:
            if user_id is not None and self._engine.is_nobody(user_id):
                impression = impression._replace(user_id=None)
            self._log.put(impression)
            if kind == "recommend" and isinstance(question, RecommendRequest):
                self.shadow.put(question, impression)
        counts = self._counts_of(impression)
        for position, source in enumerate(impression.sources, 1):
            counts.shown[impression.kind, impression.order, _bucket(position)] += 1
            counts.found[source] += 1
        counts.items.update(impression.items)

    @contextmanager
    def leaving(self, user_id: str) -> Iterator[None]:
        """Write nothing while a user is forgotten; then drop what was not written of the user.

        An answer that is noted later finds that the user has left. Also where the deletion fails:
        it may have been made, and its confirmation lost.
        """
        with self._log.held():
            try:
                yield
            finally:
                with self._noting:
                    self.shadow.forget(user_id)  # first: what it answered goes to the log
                    self._log.forget(user_id)

    async def attribute(self, events: Sequence[NewEvent]) -> tuple[int, int]:
        """Count stored events; return how many name an answer that showed their item, or did not.

        While the database is away only answers of the last second are known; the pipeline
        attributes events anew.
        """
        self._given.update(event.as_past(0).type for event in events)
        named = [event for event in events if event.recommendation_id is not None]
        if not named:
            return 0, 0
        ids = [event.recommendation_id or "" for event in named]
        try:
            found = await asyncio.to_thread(self._log.find, ids)
        except DatabaseDown:
            found = {}
        attributed = sum(
            self._count(event, found.get(name)) for event, name in zip(named, ids, strict=True)
        )
        self._unattributed += len(named) - attributed
        return attributed, len(named) - attributed

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the metrics of what was shown and what came of it."""
        shown = CounterMetricFamily(f"{PREFIX}shown_items", "Items shown.", labels=SLOT)
        found = CounterMetricFamily(f"{PREFIX}found_items", "Items shown by source.", labels=SOURCE)
        events = CounterMetricFamily(
            f"{PREFIX}attributed_events", "Events by the place of their item in the answer.",
            labels=[*SLOT, "type"],
        )  # fmt: skip
        owed = CounterMetricFamily(
            f"{PREFIX}source_events", "The same events by source.", labels=[*SOURCE, "type"]
        )
        labels = ["version", "variant"]
        chosen = {
            what: CounterMetricFamily(f"{PREFIX}{what}_items", about, labels=labels)
            for what, about in (
                ("clicked", "Shown items that were clicked, put into the cart or bought."),
                ("bought", "Shown items that were bought."),
            )
        }
        ctr = GaugeMetricFamily(
            f"{PREFIX}ctr", "Share of the shown items that was clicked.", labels=labels
        )
        conversion = GaugeMetricFamily(
            f"{PREFIX}conversion", "Share of the shown items that was bought.", labels=labels
        )
        coverage = GaugeMetricFamily(
            f"{PREFIX}coverage", "Share of the catalogue that was shown.", labels=labels
        )
        catalogue = max(1, len(self._engine.shop.catalogue))
        each = (((v, n), c) for v, own in self._counts.items() for n, c in own.items())
        for name, counts in each:
            for slot, count in counts.shown.items():
                shown.add_metric([*name, *slot], count)
            for place, count in counts.events.items():
                events.add_metric([*name, *place], count)
            for by, count in counts.found.items():
                found.add_metric([*name, by], count)
            for (source, kind), count in counts.owed.items():
                owed.add_metric([*name, source, kind], count)
            for what, family in chosen.items():
                family.add_metric(name, counts.chosen[what])
            if slots := counts.found.total():
                ctr.add_metric(name, counts.chosen["clicked"] / slots)
                conversion.add_metric(name, counts.chosen["bought"] / slots)
            coverage.add_metric(name, len(counts.items) / catalogue)
        yield from (shown, found, events, owed, ctr, conversion, coverage)
        yield from chosen.values()
        given = CounterMetricFamily(f"{PREFIX}events", "Events given.", labels=["type"])
        for kind, count in self._given.items():
            given.add_metric([kind], count)
        yield given
        written = self._log.written
        for title, about, value in (
            ("unattributed_events", "Events whose answer is not known.", self._unattributed),
            ("impressions_written", "Answers kept as impressions.", written.kept),
            ("impressions_dropped", "Answers not kept: no room to wait.", written.dropped),
        ):
            yield CounterMetricFamily(f"{PREFIX}{title}", about, value=value)
        yield GaugeMetricFamily(
            f"{PREFIX}impressions_waiting", "Answers not written yet.", value=len(self._log)
        )

    def _count(self, event: NewEvent, impression: Impression | None) -> bool:
        position = impression.position(event.parent_asin) if impression is not None else None
        if impression is None or position is None:
            return False
        counts = self._counts.get(impression.version, {}).get(impression.variant)
        if counts is not None:  # else it is of a version whose turn is over
            done = event.as_past(0).type
            counts.events[impression.kind, impression.order, _bucket(position), done] += 1
            counts.owed[impression.sources[position - 1], done] += 1
            if impression.time_ms >= counts.since_ms:  # else it is not among the shown ones
                self._choose(counts, impression.recommendation_id, event.parent_asin, done)
        return True

    def _choose(self, counts: Counts, name: str, parent_asin: str, done: str) -> None:
        """Count a shown item as clicked and as bought, each once, as the pipeline does."""
        for what, types in (("clicked", CLICKS), ("bought", CONVERSIONS)):
            one = (name, parent_asin, what)
            if done not in types or one in self._chosen:
                continue
            self._chosen[one] = None
            counts.chosen[what] += 1
            if len(self._chosen) > MOST_CHOSEN:
                self._chosen.popitem(last=False)

    def _counts_of(self, impression: Impression) -> Counts:
        """Return the counts of what an answer shows, whose version is the latest by that."""
        own = self._counts.setdefault(impression.version, {})
        self._counts.move_to_end(impression.version)
        if len(self._counts) > MOST_VERSIONS:
            self._counts.popitem(last=False)
        return own.setdefault(impression.variant, Counts(impression.time_ms))


def _kind_of(question: Question) -> Kind:
    if isinstance(question, RecommendRequest):
        return "recommend"
    if isinstance(question, SearchQuestion):
        return "search"
    return "similar" if isinstance(question, SimilarQuestion) else "feed"


def _bucket(position: int) -> str:
    return str(position) if position <= LAST_POSITION else f"{LAST_POSITION + 1}+"
