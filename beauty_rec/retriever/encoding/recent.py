"""What encoders of this process returned last, for the next step that asks the same.

A fine-tuning is judged by the items' vectors before and after it, which the steps around it make,
too. The whole call has to be the same, so that what it gives does not depend on who asked before.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Matrix = NDArray[np.float32]
WORTHWHILE = 256
"""Texts of one call from which on it takes longer than telling weights and texts apart."""
KEPT_BYTES = 64 << 20


class RecentVectors:
    """The matrices that were computed last, by a key. Threads may share them."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[Hashable, Matrix] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: Hashable, compute: Callable[[], Matrix]) -> Matrix:
        """Return a copy of the matrix of a key, computed where it is not there."""
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
        if known is not None:
            return known.copy()
        found = compute()
        if found.nbytes <= self._most:
            with self._lock:
                self._kept[key] = found.copy()
                while sum(matrix.nbytes for matrix in self._kept.values()) > self._most:
                    self._kept.popitem(last=False)
        return found


def model_digest(model: "SentenceTransformer") -> str:
    """Return 32 hex digits that stand for a model as it is: weights, modules, tokenizer.

    All weights are read: not every optimizer tells PyTorch that it has changed them.
    """
    digest = hashlib.sha256(f"{model}{_tokenizer(model)}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def _tokenizer(model: "SentenceTransformer") -> str:
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return repr(model.tokenizer)
    told = json.loads(backend.to_str())
    # Of the last call.
    return json.dumps({k: v for k, v in told.items() if k not in ("truncation", "padding")})
