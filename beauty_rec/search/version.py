"""A name for the content of an index: equal vectors and parameters, equal name."""

import hashlib

import numpy as np
from pydantic import BaseModel

from beauty_rec.artifacts import Vectors


def content_version(vectors: Vectors, settings: BaseModel) -> str:
    """Return 16 hex digits that stand for ids, vectors and the index's settings."""
    digest = hashlib.sha256("\0".join(vectors.ids).encode())
    digest.update(np.ascontiguousarray(vectors.matrix).data)
    digest.update(settings.model_dump_json().encode())
    return digest.hexdigest()[:16]
