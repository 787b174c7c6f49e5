"""A recommendation as lines for a terminal."""

from collections.abc import Iterator
from typing import Any

from beauty_rec.recommender.online.search import label

_WORDS = {
    "similar": "like {text} ({cosine:.2f}), of the past",
    "attribute": "{field} {text}, in {count} of {of} past items",
    "context": "chosen for {text}",
    "profile": "chosen by buyers with {field} {text}",
    "keyword": "“{text}”, said in {count} reviews",
}


def recommendation_lines(answer: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each item and its reasons, then the notes."""
    for item in answer["items"]:
        likely = "" if item["probability"] is None else f"{item['probability']:.1%}"
        yield (
            f"{item['rank']:>3}  {item['score']:.4f}  {likely:>5}  {item['parent_asin']}  "
            + label(item)
        )
        reasons = [explain(reason) for reason in item["why"][:3]]
        if reasons:
            yield " " * 20 + "; ".join(reasons)
    for note in answer["notes"]:
        yield f"note: {note}"


def explain(reason: dict[str, Any]) -> str:
    """Return a piece of evidence in words.

    >>> explain({"kind": "keyword", "text": "no residue", "count": 3})
    '“no residue”, said in 3 reviews'
    """
    values = {**reason, "field": (reason.get("field") or "").removeprefix("buyer_")}
    words = _WORDS[reason["kind"]].format(**values)
    return words.replace(" 1 reviews", " 1 review")
