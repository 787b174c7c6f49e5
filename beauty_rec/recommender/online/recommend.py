"""Recommendations: requests understood, the answer path, rules, and the answers in plain values.

Every step is the pipeline's own code on the requests of a batch; nothing of a model or a feature is
defined here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.online.answer import answered, arranged, plain_answer
from beauty_rec.recommender.online.experiments.explore import Explorer
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.rules.apply import ShopRules
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.understood import Understood, asks_of, ruled, understand
from beauty_rec.recommender.path import Ordered
from beauty_rec.settings import ServeSettings
from beauty_rec.tracing import stage


def recommend(
    shop: Snapshot,
    requests: Sequence[RecommendRequest],
    settings: ServeSettings,
    rules: ShopRules | None = None,
    explorer: Explorer | None = None,
) -> list[dict[str, Any]]:
    """Answer ``requests`` together; each answer is a ``Recommendations`` in plain values.

    What a request holds that is not known here (a user, past items) is left out, and said in
    ``notes``. With an ``explorer`` each item has its ``propensity``.

    Raises:
        UnknownFilter: a filter names what no item has.
    """
    answers = ordered(shop, requests, settings, rules)
    with stage("answer"):
        lists = [answered(shop, one, found, settings, explorer) for one, found in answers]
        shown = {row for each in lists for row in each.carded}
        cards = {row: shop.catalogue.card(row) for row in shown}
        return [plain_answer(shop, each, cards) for each in lists]


def best_of(
    shop: Snapshot,
    requests: Sequence[RecommendRequest],
    settings: ServeSettings,
    rules: ShopRules | None = None,
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Return rows and scores of the items that :func:`recommend` answers, without all else."""
    found = []
    for one, answer in ordered(shop, requests, settings, rules):
        places, _ = arranged(shop, one, answer, settings, [])
        found.append((answer.rows[places], answer.scores[places]))
    return found


def ordered(
    shop: Snapshot,
    requests: Sequence[RecommendRequest],
    settings: ServeSettings,
    rules: ShopRules | None,
) -> list[tuple[Understood, Ordered]]:
    """Return each request as it is understood, and its candidates in the order that is served.

    Raises:
        UnknownFilter: a filter names what no item has.
    """
    understood = [understand(shop, request, settings) for request in requests]
    if rules is not None:
        understood = [ruled(shop, one, rules) for one in understood]
    depths = [max(settings.source_depth, request.k) for request in requests]
    with stage("encode"):
        asks = asks_of(shop, understood)
    with stage("candidates"):
        found = shop.path.answer(
            asks,
            depths,
            chosen=[one.request.sources for one in understood],
            gone=shop.catalogue.kept_back(out_of_stock=settings.out_of_stock == "hide"),
            allowed=[shop.catalogue.passing(one.request.filters) for one in understood],
            least=[one.request.k for one in understood],
            pinned=[
                [] if one.ruling is None else [rows for _, rows, _ in one.ruling.pins]
                for one in understood
            ],
        )
    with stage("order"):
        return list(zip(understood, found, strict=True))
