"""Whether item vectors in int8 find what those in float32 find."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beauty_rec.artifacts import ODD_JSON, write_text_atomic
from beauty_rec.retriever.encoder import TextEncoder

LOG = logging.getLogger("beauty_rec.cache")
WORTHWHILE = 10_000
"""Texts from which on int8 gains more time than it takes to measure what it costs."""
SAMPLE = 500
"""Texts that :func:`int8_recall` is measured on."""
MAX_LOST_RECALL = 0.005
_K = 10


@dataclass(frozen=True)
class Int8Recall:
    """Recall@10 of a search for a text's second half by its first, among ``texts`` texts.

    ``float32`` and ``int8`` are what the halves that are found were encoded in.
    """

    texts: int
    float32: float
    int8: float

    @property
    def holds(self) -> bool:
        """Whether int8 loses at most half a point."""
        return self.int8 >= self.float32 - MAX_LOST_RECALL


def int8_recall(encoder: TextEncoder, texts: Sequence[str]) -> Int8Recall:
    """Return what int8 costs in recall on some of ``texts``, the same ones every time."""
    step = max(1, len(texts) // SAMPLE)
    halves = [_halves(text) for text in texts[::step][:SAMPLE]]
    if not halves:
        return Int8Recall(0, 1.0, 1.0)
    asked, found = ([half[i] for half in halves] for i in (0, 1))
    queries = encoder.encode_items(asked, reduced=False)
    exact = _recall(queries, encoder.encode_items(found, reduced=False))
    rounded = _recall(queries, encoder.encode_items(found, quantized=True))
    return Int8Recall(len(halves), exact, rounded)


def steady_recall(path: Path, maker: str, measure: Callable[[], Int8Recall]) -> Int8Recall:
    """Return what was measured when ``maker`` first embedded; ``measure`` and keep it before that.

    Otherwise a night's few new texts could turn the verdict, and embed all others anew.

    Args:
        path: a JSON file; need not exist.
        maker: stands for the model and the code.
        measure: on the texts of now.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["maker"] == maker:
            return Int8Recall(**kept["recall"])
    except FileNotFoundError:
        pass
    except (OSError, *ODD_JSON) as error:
        LOG.warning("%s cannot be read (%s): recall is measured anew", path, error)
    found = measure()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, json.dumps({"maker": maker, "recall": asdict(found)}) + "\n")
    return found


def _halves(text: str) -> tuple[str, str]:
    words = text.split()
    return " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])


def _recall(queries: NDArray[np.float32], items: NDArray[np.float32]) -> float:
    """Return the share of queries whose own item is among the ``_K`` nearest."""
    scores = queries @ items.T  # [Q, N]
    better = (scores > scores.diagonal()[:, None]).sum(1)
    return float((better < _K).mean())
