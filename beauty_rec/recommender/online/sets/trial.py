"""A set is asked before anybody asks it: damage can hide in parts that load without a fault."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from beauty_rec.recommender.online.recommend import recommend
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion, search
from beauty_rec.recommender.online.sets.manifest import ManifestError
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.settings import ServeSettings

TEXT = "something new"
HISTORY = 3


def try_out(shop: Snapshot, settings: ServeSettings) -> None:
    """Ask a set once for each kind of answer: by text, by a past, and for nothing at all.

    An answer may be empty where the shop has nothing to put into it: all is hidden, or a search is
    asked of items without a text.

    Raises:
        ManifestError: it cannot answer, or answers with nothing, or with scores that are no number.
    """
    shop = replace(shop, since={})
    history = shop.space.ids[:HISTORY]
    requests = {
        "a request for nothing at all": RecommendRequest(k=5),
        "a request for a text": RecommendRequest(context=TEXT, k=5),
        "a request of who has a past": RecommendRequest(
            history=list(history), exclude_seen=False, k=5
        ),
    }
    try:
        recommended = recommend(shop, list(requests.values()), settings)
        (found,) = search(shop, [SearchQuestion(TEXT, 5)], settings)
    except Exception as error:
        raise ManifestError(f"set {shop.manifest.set} cannot answer: {error!r}") from error
    shown = np.ones(shop.catalogue.rows, bool)
    shown[shop.catalogue.kept_back(out_of_stock=settings.out_of_stock == "hide")] = False
    with_text = shop.space.has_text.copy()
    with_text[shop.catalogue.gone] = False
    for asked, answer in zip(requests, recommended, strict=True):
        _hold(shop, asked, answer, int(shown.sum()))
    _hold(shop, "a search", found, int(with_text.sum()))


def _hold(shop: Snapshot, asked: str, answer: Mapping[str, Any], items: int) -> None:
    """Refuse an answer to what was asked that is none, though there are ``items`` for it."""
    scores = [item["score"] for item in answer["items"]]
    if not scores and items:
        said = f"answers {asked} with no item of {items} that may be shown"
    elif not all(math.isfinite(score) for score in scores):
        said = f"answers {asked} with scores that are no number"
    else:
        return
    raise ManifestError(f"set {shop.manifest.set} {said}")
