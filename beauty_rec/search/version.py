"""A name for the content of an index: equal vectors and parameters, equal name."""

import hashlib
from collections.abc import Set as AbstractSet

import numpy as np
from pydantic import BaseModel

from beauty_rec.artifacts import Vectors


def content_version(
    vectors: Vectors, settings: BaseModel, fields: AbstractSet[str] | None = None
) -> str:
    """Return 16 hex digits that stand for ids, vectors and settings of an index.

    Args:
        vectors: what it holds.
        settings: of its building.
        fields: those of ``settings`` that count; None: all.
    """
    digest = hashlib.sha256("\0".join(vectors.ids).encode())
    digest.update(np.ascontiguousarray(vectors.matrix).data)
    digest.update(
        settings.model_dump_json(include=None if fields is None else set(fields)).encode()
    )
    return digest.hexdigest()[:16]
