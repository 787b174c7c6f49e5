"""A live shop whose users are split between variants, and what is served to all others."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from beauty_rec.recommender.online.experiments.arms import ordered_path, over
from beauty_rec.recommender.online.experiments.explore import Explorer
from beauty_rec.recommender.online.experiments.file import DEFAULT_VARIANT, AnswerSettings
from beauty_rec.recommender.online.feeds.answer import feed
from beauty_rec.recommender.online.feeds.question import FeedQuestion, UnfitFeed
from beauty_rec.recommender.online.recommend import recommend
from beauty_rec.recommender.online.requests import NewItem, RecommendRequest
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.columns import UnknownFilter
from beauty_rec.recommender.online.stock.filters import ANYTHING
from beauty_rec.serving.state.experiment.running import Arm, ExperimentKeeper, Running
from beauty_rec.serving.state.garbage import set_aside
from beauty_rec.serving.state.live_shop import LiveShop
from beauty_rec.serving.state.rules import RulesKeeper
from beauty_rec.settings import ServeSettings, Settings


class SplitShop(LiveShop):
    """A live shop with promoted settings, and perhaps an experiment.

    Args:
        settings: of the data folder.
        base: the set.
        released: settings of answers that were promoted.
    """

    experiments: ExperimentKeeper
    rules: RulesKeeper

    def __init__(self, settings: Settings, base: Snapshot, released: AnswerSettings) -> None:
        self._plain, self.released = base, released
        self._explorer = _explorer(released)
        super().__init__(settings, _ordered(base, released))

    def release(self, base: Snapshot, settings: AnswerSettings) -> None:
        """Serve a set with these settings of answers to everybody, with all that was given."""
        if base is not self._plain:
            self.experiments.hold(self._plain, self._given, self._rows)
        explorer = _explorer(settings)

        def released() -> None:
            self.released, self._explorer, self._plain = settings, explorer, base

        self.change_to(_ordered(base, settings), released)

    def recommend(self, requests: Sequence[RecommendRequest]) -> list[dict[str, Any]]:
        """Answer each request as the variant of its user does, all of a variant together.

        See :func:`~beauty_rec.recommender.online.recommend.recommend`; an answer also names its
        ``experiment`` and ``variant``.
        """
        found: list[dict[str, Any]] = [{}] * len(requests)
        running = self.experiments.running
        by_arm: dict[str, tuple[Arm | None, list[int]]] = {}
        for place, request in enumerate(requests):
            arm = self._arm(request, running)
            name = DEFAULT_VARIANT if arm is None else arm.name
            by_arm.setdefault(name, (arm, []))[1].append(place)
        for name, (arm, places) in by_arm.items():
            answers = self.recommend_as(arm, [requests[place] for place in places])
            experiment = running.experiment.name if running is not None and arm else None
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer | {"experiment": experiment, "variant": name}
        return found

    def recommend_as(
        self, arm: Arm | None, requests: Sequence[RecommendRequest]
    ) -> list[dict[str, Any]]:
        """Answer requests as an arm of the experiment does; None: as is served to everybody."""
        serve = self.serve
        if arm is None:
            shop, explorer = self._shop, self._explorer
        else:
            shop = arm.shop(self._shop, self.given, self.released)
            explorer = self._explorer if arm.settings.explore is None else arm.explorer
            serve = over(arm.settings, serve)
        return recommend(shop, requests, serve, self.rules.of(shop), explorer)

    @property
    def serve(self) -> ServeSettings:
        """The settings of the server under those that were promoted."""
        return over(self.released, self.settings.serve)

    def feed(self, question: FeedQuestion) -> dict[str, Any]:
        """See :func:`~beauty_rec.recommender.online.feeds.answer.feed`, and :meth:`recommend`."""
        running, live = self.experiments.running, self._shop
        arm = self._arm(question, running)
        if arm is not None and running is not None:
            try:
                answer = self._feed(arm.shop(live, self.given, self.released), question)
                return answer | {"experiment": running.experiment.name, "variant": arm.name}
            except UnfitFeed:
                if arm.beside is None:
                    raise  # else what it is about may be newer than the variant's set
        return self._feed(live, question) | {"experiment": None, "variant": DEFAULT_VARIANT}

    def add_items(self, items: Sequence[NewItem]) -> str:
        """See :meth:`.LiveShop.add_items`; sets that are served beside have them, too."""
        added = super().add_items(items)
        self._take_in_beside()
        return added

    def look_at_experiment(self) -> bool:
        """See :meth:`~.experiment.running.ExperimentKeeper.look`."""
        changed = self.experiments.look(self._shop)
        self._take_in_beside()
        if changed:
            set_aside()
        return changed

    def _feed(self, shop: Snapshot, question: FeedQuestion) -> dict[str, Any]:
        return feed(shop, question, self.rules.of(shop), self.settings.serve)

    def _arm(
        self, question: RecommendRequest | FeedQuestion, running: Running | None
    ) -> Arm | None:
        """Return what answers a question; None for one that is in no experiment.

        That is also one whose filter the variant's set does not know, and the served one does.
        """
        if running is None or question.user_id is None:
            return None
        if isinstance(question, RecommendRequest) and question.at is not None:
            return None
        arm = running.arms[running.experiment.variant_of(question.user_id)]
        if arm.beside is not None and question.filters != ANYTHING:
            try:
                arm.beside.shop(self.given).catalogue.passing(question.filters)
            except UnknownFilter:
                return None
        return arm

    def _beside(self) -> list[Snapshot]:
        running = self.experiments.running
        return [beside.base for beside in running.besides.values()] if running is not None else []

    def _take_in_beside(self) -> None:
        running = self.experiments.running
        for beside in running.besides.values() if running is not None else ():
            beside.take_in(self._given, self._rows)


def _ordered(base: Snapshot, settings: AnswerSettings) -> Snapshot:
    """Return a set as it is ordered under promoted settings."""
    path = ordered_path(base.path, settings)
    return base if path is base.path else replace(base, path=path)


def _explorer(settings: AnswerSettings) -> Explorer | None:
    return Explorer(settings.explore) if settings.explore else None
