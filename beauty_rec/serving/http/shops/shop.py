"""A shop: a data folder that is served, with all that is its own.

The engine of one of several may be missing: its set is damaged, or not published yet. It is tried
again for as long as the server runs, and the others answer meanwhile.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from beauty_rec.recommender.online.sets.trial import try_out
from beauty_rec.serving.http.operators.experiment_view import REFRESH_SECONDS, ExperimentView
from beauty_rec.serving.http.shops.metrics import ShopMetrics
from beauty_rec.serving.http.shown import ShownAnswers
from beauty_rec.serving.state.engine import TRY_AGAIN_SECONDS, Engine
from beauty_rec.serving.state.threads import in_passing
from beauty_rec.serving.state.watcher import watching
from beauty_rec.settings import Settings, redacted

ReadSettings = Callable[[], Settings]
LOG = logging.getLogger("beauty_rec.serving")


class ShopAway(ConnectionError):
    """The shop has nothing to answer from now."""


class Shop:
    """One data folder, open or not; close it when done.

    Args:
        name: among several; None: it is the only one.
        read: returns the settings of the data folder, which may be at fault, too.
        engine: of it, if it is open already.
    """

    def __init__(self, name: str | None, read: ReadSettings, engine: Engine | None = None) -> None:
        self.name, self._read = name, read
        self.metrics = ShopMetrics()
        self.fault: str | None = None
        """Why it is not open, for who holds the key; None when it is, or was not tried."""
        self.is_busy: Callable[[], bool] = lambda: False
        """Whether the server computes anything now; what nobody waits for makes way."""
        self._again = 0.0
        self._running = ExitStack()
        self._engine: Engine | None = None
        if engine is not None:
            self._have(engine)

    @property
    def is_open(self) -> bool:
        """Whether it has an engine."""
        return self._engine is not None

    @property
    def engine(self) -> Engine:
        """What its answers come from.

        Raises:
            ShopAway: it is not open.
        """
        if self._engine is None:
            raise self._away
        return self._engine

    @property
    def ready(self) -> list[str]:
        """Return why the shop is not ready; nothing when it is. Anybody may know it."""
        if self._engine is None:
            why = "it is being opened" if self.fault is None else "the log says why"
            return [f"nothing is served; {why}"]
        return self._engine.ready

    def open(self, begin: Callable[[Engine], object] = lambda _: None) -> bool:
        """Open it if that can be done now; return whether it is open.

        Args:
            begin: is done with the engine before anybody has it; where it fails, nobody does.
        """
        if self._engine is not None:
            return True
        self._again = time.monotonic() + TRY_AGAIN_SECONDS
        engine: Engine | None = None
        try:
            engine = Engine(self._read())
            begin(engine)
        except Exception as error:  # whatever is wrong with one shop, the others go on
            fault = redacted(f"{error}" or type(error).__name__)
            if fault != self.fault:
                LOG.error("shop", extra={"event": "shop_away", "shop": self.name, "error": fault})
            self.fault = fault
            if engine is not None:
                engine.close()
            elif isinstance(error, FileNotFoundError):  # a look at a missing file costs nothing
                self._again = 0.0
            return False
        self._have(engine)
        return True

    @property
    def view(self) -> ExperimentView:
        """What is said of its experiment.

        Raises:
            ShopAway: it is not open.
        """
        if self._engine is None:
            raise self._away
        return self._view

    @contextmanager
    def watched(self, seconds: float) -> Iterator[None]:
        """Look for newer sets, rules, experiments and after the database, every so often."""
        if self._engine is not None:
            _start(self._engine)
            self._running.enter_context(self.shown.kept())
        with self._running, watching(self._look, seconds), ExitStack() as watchers:
            for look, pause in (
                (Engine.look_at_rules, seconds),
                (Engine.look_at_experiment, seconds),
                (lambda _: self._view.refresh(), REFRESH_SECONDS),
            ):
                watchers.enter_context(watching(partial(self._if_open, look), pause))
            yield

    def close(self) -> None:
        """Leave the database."""
        if self._engine is not None:
            self._engine.close()

    @property
    def _away(self) -> ShopAway:
        return ShopAway(f"the shop {self.name!r} is away; the log says why")

    def _have(self, engine: Engine) -> None:
        self.shown = ShownAnswers(engine, lambda: self.is_busy())
        self._view = ExperimentView(engine, self.shown.shadow)
        self.metrics.registry.register(self.shown)
        self.metrics.registry.register(self._view)
        self._engine, self.fault = engine, None

    def _look(self) -> None:
        if self._engine is not None:
            self._engine.look()
        elif time.monotonic() >= self._again and self.open(_try_and_start):
            self._running.enter_context(self.shown.kept())
            LOG.info("shop", extra={"event": "shop_opened", "shop": self.name})

    def _if_open(self, look: Callable[[Engine], object]) -> None:
        if self._engine is not None:
            look(self._engine)


def _try_and_start(engine: Engine) -> None:
    # The first answer is a slow one: better it is this.
    in_passing(try_out, engine.shop, engine.settings.serve)
    _start(engine)


def _start(engine: Engine) -> None:
    engine.store.keep_open()
    engine.look_at_experiment()


def each_its_database(shops: Mapping[str, ReadSettings]) -> dict[str, ReadSettings]:
    """Return what reads the settings of each shop, and refuses a database that another one has.

    What both are given would stand in the same tables.
    """
    databases: dict[str, str] = {}

    def reading(name: str, read: ReadSettings) -> ReadSettings:
        def settings() -> Settings:
            found = read()
            if (dsn := found.item_index.dsn) is not None:
                other = databases.setdefault(dsn.get_secret_value(), name)
                if other != name:
                    raise ValueError(
                        f"its database is that of {other}: unset item_index.dsn, so that each has "
                        "one in its folder, or give each its own there"
                    )
            return found

        return settings

    return {name: reading(name, read) for name, read in shops.items()}
