"""Columns of the lists of candidates: those of each source and of each order that the code has."""

from beauty_rec.recommender.offline.ordering import LISTED
from beauty_rec.recommender.orders import ORDERS
from beauty_rec.recommender.sources import SOURCES, TEXT_SOURCES

Column = tuple[str, str]
"""Its meaning, and the columns that it is made from."""

_EVENTS = "split_reviews.parent_asin, split_reviews.timestamp"
_TEXTS = "merged_items.text, split_reviews.context, split_reviews.text"
_TITLES = "merged_items.title, split_reviews.context, split_reviews.text"
_PEOPLE = "split_reviews.context, user_profiles.user_id"
SCORES: dict[str, Column] = {
    "user_tower": ("inner product with the user's vector", f"{_EVENTS}, {_PEOPLE}"),
    "text_retriever": ("cosine of the ask's text and the item's", _TEXTS),
    "lexical": ("BM25 of the ask's words in the item's text", _TEXTS),
    "titles": ("BM25 of the ask's words in the item's title", _TITLES),
    "item_to_item": ("how often it was bought with the past items", _EVENTS),
    "popular": ("events of late, within the occasion", f"{_EVENTS}, split_reviews.context"),
    "new_arrivals": ("how new it is", _EVENTS),
}
"""What each source thinks of an item."""


def _of_candidates() -> dict[str, Column]:
    found: dict[str, Column] = {
        "review_id": ("the event that asks", "split_reviews.review_id"),
        "scenario": ("how it is asked: with_text, without_text or review_text", ""),
        "parent_asin": ("the candidates", "raw_items.parent_asin, split_reviews.parent_asin"),
    }
    scores = {name: SCORES.get(name, ("its score", "")) for name in SOURCES}
    for name, (meaning, origin) in scores.items():
        found[name] = f"{meaning}, of each candidate; NaN: it says nothing", origin
    for name, (_, origin) in scores.items():
        found[f"{name}_best"] = "its best score of all items", origin
        found[f"{name}_last"] = "its score of the hundredth item, or of the last", origin
    found["events"] = "version of the events that the split had", ""
    return found


def _of_recommendations() -> dict[str, Column]:
    every = _scores_of(*SOURCES)
    found: dict[str, Column] = {
        "review_id": ("the event that asks", "user_candidates.review_id"),
        "scenario": ("how it is asked", "user_candidates.scenario"),
        "kind": ("of the ask: nothing, an occasion or a text", "split_reviews.context"),
        "order": ("that is served for this kind of ask", ""),
        "parent_asin": ("the list as served, best first", "user_candidates.parent_asin"),
        "score": ("of the served order, of each item", every),
        "probability": ("calibrated, of being chosen", every),
        "reranker": ("AUC and log loss of the DeepFM, of every candidate of the split", every),
    }
    for order in ORDERS:
        read = (order,) if order in SOURCES else TEXT_SOURCES if order == "hybrid" else SOURCES
        said = f"of the answer, from 1, by {order}; ties share; null: not asked"
        found[f"rank_{order}"] = said, _scores_of(*read)
    for order in LISTED:
        found[f"top_{order}"] = f"the first ten items by {order}", "user_candidates.parent_asin"
    found["rank_served"] = "of the answer in the list as served", every
    return found


def _scores_of(*sources: str) -> str:
    return ", ".join(f"user_candidates.{name}" for name in sources)


LISTS: dict[str, dict[str, Column]] = {
    "user_candidates": _of_candidates(),
    "recommendations": _of_recommendations(),
}
"""Asset → column → meaning, and the columns it is made from."""
