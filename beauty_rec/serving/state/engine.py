"""The recommender of a data folder: its questions, and the newest set.

>>> with Engine.open(settings) as engine:  # doctest: +SKIP
...     engine.recommend([RecommendRequest(context="a rose soap")])
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.online.reasons import attributes_of
from beauty_rec.recommender.online.recommend import best_of
from beauty_rec.recommender.online.requests import RecommendRequest, SimilarBy
from beauty_rec.recommender.online.search import SearchQuestion, search, similar
from beauty_rec.recommender.online.sets.manifest import Manifest
from beauty_rec.recommender.online.sets.trial import try_out
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.filters import ANYTHING, Filter
from beauty_rec.serving.published.checked import up_to_date_at
from beauty_rec.serving.published.manifest import set_folder
from beauty_rec.serving.published.release import served
from beauty_rec.serving.state.connection import READ_ONLY, DatabaseDown
from beauty_rec.serving.state.experiment.running import ExperimentKeeper
from beauty_rec.serving.state.experiment.split_shop import SplitShop
from beauty_rec.serving.state.garbage import set_aside
from beauty_rec.serving.state.rules import RulesKeeper
from beauty_rec.serving.state.threads import in_passing
from beauty_rec.settings import EncoderSettings, Settings

LOG = logging.getLogger("beauty_rec.serving")
TRY_AGAIN_SECONDS = 30.0
"""After which a refused set is read once more: what was in its way may have passed."""


def load_set(
    root: Path,
    manifest: Manifest,
    settings: EncoderSettings,
    beside: Snapshot | None = None,
) -> Snapshot:
    """Read the set that ``manifest`` names, below ``root``, every part held against its hash.

    What ``beside``, a set that stays loaded, has in common with it is shared.

    Raises:
        ManifestError: a part is missing, changed, or does not fit the others.
    """
    return Snapshot.load(set_folder(root, manifest), manifest, settings, beside)


class Engine(SplitShop):
    """A live shop that is asked, and that looks for newer sets. Threads may share an engine."""

    def __init__(self, settings: Settings) -> None:
        self.root = settings.data_dir / "serving"
        now = served(self.root)
        base = in_passing(load_set, self.root, now.manifest, settings.encoder)
        super().__init__(settings, base, now.settings)
        self.experiments = ExperimentKeeper(self.root, self._load_beside)
        self.rules = self._rules_at_start()
        self._tried, self._try_again = "", 0.0
        self.refused: str | None = None
        """Why the newest manifest is not served; None when it is."""
        self.switches = self.refusals = 0
        self.looked = time.monotonic()
        """When the last look for a newer set came back."""

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Iterator["Engine"]:
        """Yield an engine that knows what was given before, and close it.

        Raises:
            FileNotFoundError: nothing was published yet.
            ManifestError: the set is not what its manifest says.
            DatabaseDown: what was given before cannot be read.
            RuntimeError: the database is another shop's.
            RulesError: the shop's rules are not valid.
        """
        engine = cls(settings)
        try:
            if engine.store.read_only:
                LOG.warning(READ_ONLY)
            elif not engine.store.healthy:  # else it was opened for the rules
                engine.store.open()
            engine.wait()
            yield engine
        finally:
            engine.close()

    @property
    def set_age_seconds(self) -> float:
        """How long ago the served set was published."""
        published = datetime.fromisoformat(self._shop.manifest.created_at)
        return (datetime.now(UTC) - published).total_seconds()

    @property
    def checked_age_seconds(self) -> float:
        """How long ago the served set was published, or found to be up to date by a refresh."""
        return time.time() - up_to_date_at(self.root, self._shop.manifest)

    @property
    def ready(self) -> list[str]:
        """Return why the engine is not ready; nothing when it is."""
        reasons = []
        if self.store.read_only:
            return []
        if not self.store.healthy:
            reasons.append(f"{self.store.away}: writes wait, answers go on")
        elif not self._restored:
            reasons.append("items and events given before are being read")
        return reasons

    @property
    def is_whole(self) -> bool:
        """Whether the shop has all that was given: it was read, and its rows are made."""
        return self._restored and self.store.healthy and not self.waiting_items

    def best(
        self, requests: Sequence[RecommendRequest]
    ) -> list[tuple[list[str], NDArray[np.float32]]]:
        """Return ids and scores of the items that :meth:`recommend` answers, without all else."""
        shop = self._shop
        found = best_of(shop, requests, self.serve, self.rules.of(shop))
        return [([shop.space.ids[row] for row in rows], scores) for rows, scores in found]

    def search(self, questions: Sequence[SearchQuestion]) -> list[dict[str, Any]]:
        """See :func:`~beauty_rec.recommender.online.search.search`."""
        return search(self._shop, questions, self.settings.serve)

    def check(self, filters: Filter) -> None:
        """Hold a filter against the shop of now.

        Raises:
            UnknownFilter: it names a field or a value that no item has.
        """
        self._shop.catalogue.passing(filters)

    def look_at_rules(self) -> bool:
        """See :meth:`~beauty_rec.serving.state.rules.RulesKeeper.look`."""
        is_whole = self.is_whole  # before the shop is taken, which is grown in the background
        return self.rules.look(self._shop, is_whole=is_whole)

    def similar(
        self, parent_asin: str, k: int, by: SimilarBy, filters: Filter = ANYTHING
    ) -> dict[str, Any]:
        """See :func:`~beauty_rec.recommender.online.search.similar`.

        Raises:
            UnknownItem: there is no such item.
            UnknownFilter: a filter names what no item has.
        """
        shop = self._shop
        return similar(shop, self._row(shop, parent_asin), k, by, filters)

    def item(self, parent_asin: str) -> dict[str, Any]:
        """Return an item with all that is known of it.

        Raises:
            UnknownItem: there is no such item.
        """
        shop = self._shop
        row = self._row(shop, parent_asin)
        card = shop.catalogue.card(row)
        table = shop.path.table
        place = table.row_of.get(parent_asin, len(table.ids))
        return {
            **card,
            "hidden": bool(shop.catalogue.hidden[row]),
            "version": shop.manifest.set,
            "attributes": attributes_of(shop.path, parent_asin),
            "train_events": round(float(np.expm1(table.events.log_count[place]))),
        }

    def facets(self, fields: Sequence[str], k: int) -> dict[str, Any]:
        """Return ``Facets`` in plain values: what a filter may name, the commonest values first.

        Raises:
            UnknownFilter: no item has such a field.
        """
        shop = self._shop
        found = shop.catalogue.facets(fields, k)
        facets = {f: [{"value": v, "items": n} for v, n in own] for f, own in found.items()}
        fields = sorted(shop.catalogue.columns.fields)
        return {"version": shop.manifest.set, "fields": fields, "facets": facets}

    def look(self) -> bool:
        """Serve the newest manifest if it is another; return whether it was switched to.

        A set that is not whole, does not fit together or cannot answer is refused, and so is one
        that cannot be read now: what is served stays. It is tried again after a while.
        """
        try:
            return self._switch()
        except Exception as error:
            self.refusals += 1
            if str(error) != self.refused:
                LOG.error("refused", extra={"event": "set_refused", "error": str(error)})
            self.refused = str(error)
            return False
        finally:
            self.looked = time.monotonic()

    def _switch(self) -> bool:
        now = served(self.root)
        manifest, is_other = now.manifest, now.manifest.set != self._shop.manifest.set
        if not is_other and now.settings == self.released:
            self.refused = None
            return False
        token = manifest.model_dump_json() + now.settings.model_dump_json()
        clock = time.monotonic()
        if token == self._tried and clock < self._try_again:
            return False
        self._tried, self._try_again = token, clock + TRY_AGAIN_SECONDS
        loaded = self._plain
        if is_other:
            known = self.experiments.base_of(manifest.set)
            loaded = known or in_passing(load_set, self.root, manifest, self.settings.encoder)
            in_passing(try_out, loaded, self.settings.serve)
        self.refused = None  # before anybody sees the other set
        self.release(loaded, now.settings)
        set_aside()
        self.switches += is_other
        said = {"event": "set_switched", "set": manifest.set, **now.settings.said}
        LOG.info("switched", extra=said)
        return True

    def _rules_at_start(self) -> RulesKeeper:
        """Return the shop's rules; they may name what was given, so that is read first.

        Without the database the start goes on, as it does without rules.
        """
        try:
            if self.settings.serve.rules is not None and not self.store.read_only:
                with suppress(DatabaseDown):  # it is looked for, and spoken of, as long as we run
                    self.store.open()
            is_whole = self.is_whole  # before the shop is taken, which is grown in the background
            path = self.settings.serve.rules
            return RulesKeeper(path, self._shop, is_whole=is_whole, root=self.root)
        except BaseException:
            self.close()
            raise

    def _load_beside(self, manifest: Manifest) -> Snapshot:
        encoder, beside = self.settings.encoder, self._plain
        loaded = in_passing(load_set, self.root, manifest, encoder, beside)
        in_passing(try_out, loaded, self.settings.serve)
        return loaded
