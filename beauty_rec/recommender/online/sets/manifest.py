"""What a served set says of itself."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class ManifestError(RuntimeError):
    """A set is missing, incomplete, or not what its manifest says; the message tells which part."""


class Manifest(BaseModel):
    """What ``manifest.json`` says of a set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    set: str
    """Names the content: 16 hex digits of a hash of what it holds."""
    created_at: str
    """When it was first published, ISO 8601 in UTC."""
    parts: dict[str, str]
    """Name of each part in the set's folder → its content hash."""
    indexes: dict[str, dict[str, Any]]
    """``text_index`` (ChromaDB) and ``item_index`` (pgvector): version, rows, recall, …"""
    facts: dict[str, Any]
    """What making vectors of new items needs to know: the domain, columns that events fill."""
    metrics: dict[str, float]
    """Headline figures of the models, as they were measured last."""
    measured: dict[str, str] = {}
    """Split → the day on which its events were asked for them, ISO 8601 in UTC."""
    before: str | None = None
    """The set that was the newest until this one was; None: there was none, or nobody knows."""


PLACE_IN_TIME = frozenset({"created_at", "before"})
"""What a manifest says of when its set was published, not of what the set is."""
