"""What answers for a variant: a path with the variant's orders, and settings of the server."""

from collections.abc import Mapping
from dataclasses import replace

from beauty_rec.ranking.gbdt import unavailable
from beauty_rec.recommender.online.experiments.file import AnswerSettings, ExperimentError
from beauty_rec.recommender.orders import KINDS, LEARNED, Kind, Orders
from beauty_rec.recommender.path import AnswerPath
from beauty_rec.settings import ServeSettings


def refuse_unknown_orders(orders: Orders, settings: AnswerSettings) -> None:
    """Raise where the settings name an order that a set does not have, or no model for here.

    Raises:
        ExperimentError: for the kind of ask that it is named for, or for any.
    """
    if settings.order is None:
        return
    found = _changed(orders, settings)
    missing = [kind for kind in settings.orders if kind not in found]
    if missing and (not found or not isinstance(settings.order, str)):
        kind = missing[0]
        has = sorted({o for o in orders.weights for k in KINDS if orders.weights_of(o, k)})
        raise ExperimentError(
            f"the set has no order {settings.orders[kind]!r} for the ask {kind!r}; "
            f"it has {', '.join(has)}, and those of single sources"
        )
    here = [name for name in LEARNED if name != "gbdt" or unavailable() is None]
    if fault := replace(orders, served=found).fault(here):
        raise ExperimentError(fault)


def ordered_path(path: AnswerPath, settings: AnswerSettings) -> AnswerPath:
    """Return the path as it orders under ``settings``; the same one where nothing changes.

    An order that a newer set does not have for a kind of ask, or no model for, changes nothing.
    """
    changed = {
        kind: order
        for kind, order in _changed(path.orders, settings).items()
        if set(path.orders.needs(order, kind)) <= path.models.keys()
    }
    if all(path.orders.served.get(kind) == order for kind, order in changed.items()):
        return path
    served = {**path.orders.served, **changed}
    return replace(path, orders=replace(path.orders, served=served))


def over(settings: AnswerSettings, serve: ServeSettings) -> ServeSettings:
    """Return the server's settings under those of an answer."""
    named = {"diversity": settings.diversity, "source_depth": settings.source_depth}
    changed = {name: value for name, value in named.items() if value is not None}
    return serve.model_copy(update=changed) if changed else serve


def _changed(orders: Orders, settings: AnswerSettings) -> Mapping[Kind, str]:
    return {
        kind: order for kind, order in settings.orders.items() if orders.weights_of(order, kind)
    }
