"""A list that is answered: candidates arranged, and each item in plain values, with its reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.diversity import diversify
from beauty_rec.recommender.online.emptiness import why_nothing_found, why_nothing_left
from beauty_rec.recommender.online.experiments.explore import Explorer
from beauty_rec.recommender.online.reasons import Reasons
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.understood import Understood
from beauty_rec.recommender.path import Ordered
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.settings import ServeSettings

CARD_FIELDS = (
    "parent_asin", "title", "store", "price", "average_rating", "rating_number", "category",
    "brand", "keywords", "keyword_reviews", "in_stock",
)  # fmt: skip
BRIEF_FIELDS = ("parent_asin", "title", "price", "category", "brand", "keywords")


@dataclass(frozen=True)
class Answered:
    """What is answered: candidates in some places, best first, and the rules of each row."""

    one: Understood
    ordered: Ordered
    places: NDArray[np.int64]
    rules: dict[int, list[str]]
    notes: list[str]
    propensities: NDArray[np.float64] | None
    reasons: Reasons

    @property
    def carded(self) -> list[int]:
        """Rows whose cards are said."""
        staged = self.ordered.rows[: self.one.request.k if self.one.request.stages else 0]
        return [*self.ordered.rows[self.places].tolist(), *staged.tolist(), *self.reasons.known]


def answered(
    shop: Snapshot,
    one: Understood,
    ordered: Ordered,
    settings: ServeSettings,
    explorer: Explorer | None,
) -> Answered:
    """Return what of an ask's candidates is answered: by rules, variety and, if any, chance."""
    notes = list(one.notes)
    order, names = arranged(shop, one, ordered, settings, notes)
    chosen = None
    if explorer is not None and not (one.ruling and one.ruling.caps):  # chance knows no caps
        moved = [at for at, row in enumerate(ordered.rows.tolist()) if row in names]
        order, chosen = explorer.of(order, len(ordered.rows), moved)
    if not len(order):
        notes.append(_why_none(shop, one, settings))
    reasons = Reasons(shop.catalogue, shop.path, one.query)
    return Answered(one, ordered, order, names, notes, chosen, reasons)


def plain_answer(
    shop: Snapshot, found: Answered, cards: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a ``Recommendations`` in plain values; ``cards`` are of :attr:`Answered.carded`."""
    request, ordered, places = found.one.request, found.ordered, found.places
    rows, given = ordered.rows[places], ordered.probability
    items = [
        {
            **{name: cards[row][name] for name in CARD_FIELDS},
            "rank": rank,
            "score": score,
            "probability": probability,
            "sources": standing,
            "why": why,
            "rules": found.rules.get(row, []),
        }
        for rank, (row, score, probability, standing, why) in enumerate(
            zip(
                rows.tolist(),
                ordered.scores[places].tolist(),
                [None] * len(rows) if given is None else given[places].tolist(),
                _standings(ordered, places),
                found.reasons.of(rows, cards),
                strict=True,
            ),
            1,
        )
    ]
    if found.propensities is not None:
        for item, propensity in zip(items, found.propensities.tolist(), strict=True):
            item["propensity"] = propensity
    return {
        "version": shop.manifest.set,
        "order": ordered.order,
        "items": items,
        "notes": found.notes,
        "candidates": _candidates(ordered, request.k, cards) if request.stages else None,
    }


def arranged(
    shop: Snapshot, one: Understood, ordered: Ordered, settings: ServeSettings, notes: list[str]
) -> tuple[NDArray[np.int64], dict[int, list[str]]]:
    """Return which of the candidates are answered, in their order, and the rules of each row."""
    k, ruling = one.request.k, one.ruling
    order, names = np.arange(len(ordered.rows)), dict[int, list[str]]()
    if ruling is not None:
        order, names = ruling.moved(ordered.rows)
    diversity = settings.diversity if one.request.diversity is None else one.request.diversity
    if diversity:
        # An item is as relevant as the place that it was moved to.
        varied = diversify(ordered.scores, shop.space.texts(ordered.rows[order]), k, diversity)
        order = np.concatenate([order[varied], np.delete(order, varied)])
    if ruling is None or not (ruling.pins or ruling.caps):
        return order[:k], names
    rows = ordered.rows[order].tolist()
    arranged, said = ruling.arranged(rows, k, shop.catalogue, names)
    notes += said
    place_of = dict(zip(rows, order.tolist(), strict=True))
    return np.array([place_of[row] for row in arranged], np.int64), names


def _why_none(shop: Snapshot, one: Understood, settings: ServeSettings) -> str:
    catalogue, request = shop.catalogue, one.request
    kept_back = catalogue.kept_back(out_of_stock=settings.out_of_stock == "hide")
    allowed = catalogue.passing(request.filters)
    nothing_left = why_nothing_left(catalogue, kept_back, allowed, one.seen)
    return nothing_left or why_nothing_found(request.sources)


def _standings(
    ordered: Ordered, places: NDArray[np.int64]
) -> list[dict[str, dict[str, float | int]]]:
    """Return what each source says of some candidates: its score, and its place among them all."""
    found: list[dict[str, dict[str, float | int]]] = [{} for _ in places]
    for name, column in zip(SOURCES, ordered.found.scores.T, strict=True):
        rising = np.sort(column[~np.isnan(column)])
        own = column[places]
        better = len(rising) - np.searchsorted(rising, own, side="right")
        for each, score, above in zip(found, own.tolist(), better.tolist(), strict=True):
            if score == score:
                each[name] = {"score": score, "rank": above + 1}
    return found


def _candidates(
    ordered: Ordered, k: int, cards: Mapping[int, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the candidates by each source's own order: what the served order was made of."""
    rows = ordered.rows[:k].tolist()
    return [
        {**{name: cards[row][name] for name in BRIEF_FIELDS}, "rank": rank, "sources": standing}
        for rank, (row, standing) in enumerate(
            zip(rows, _standings(ordered, np.arange(len(rows))), strict=True), 1
        )
    ]
