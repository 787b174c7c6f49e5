"""A set is asked before anybody asks it: damage can hide in parts that load without a fault."""

import math
from dataclasses import replace

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

    Raises:
        ManifestError: it cannot answer, or answers with nothing, or with scores that are no number.
    """
    shop = replace(shop, since={})
    history = shop.space.ids[:HISTORY]
    requests = [
        RecommendRequest(k=5),
        RecommendRequest(context=TEXT, k=5),
        RecommendRequest(history=list(history), exclude_seen=False, k=5),
    ]
    try:
        answers = [
            *recommend(shop, requests, settings),
            *search(shop, [SearchQuestion(TEXT, 5)], settings),
        ]
    except Exception as error:
        raise ManifestError(f"set {shop.manifest.set} cannot answer: {error!r}") from error
    for answer in answers:
        scores = [item["score"] for item in answer["items"]]
        if not scores and len(shop.catalogue):
            raise ManifestError(f"set {shop.manifest.set} answers with no item")
        if not all(math.isfinite(score) for score in scores):
            raise ManifestError(f"set {shop.manifest.set} answers with scores that are no number")
