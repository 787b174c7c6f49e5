"""The models of a set, read from its folder and checked against one another."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features import FeatureBuilder
from beauty_rec.ranking.reranker import Reranker
from beauty_rec.ranking.stages import load_reranker
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.manifest import Manifest, ManifestError
from beauty_rec.settings import EncoderSettings
from beauty_rec.towers.item_matrix import ItemMatrix
from beauty_rec.towers.served_user_tower import ServedUserTower

TEXT_RETRIEVER = "text_retriever"
ITEM_EMBEDDINGS = "item_embeddings"
ITEM_TOWER = "item_tower"
ITEM_INDEX = "item_index"
USER_TOWER = "user_tower"
RERANKER = "reranker"
VOCABULARY = "vocabulary.json"
PROFILES = "user_profiles.parquet"

KEPT_CONTEXTS = 4_096


class ContextEncoder:
    """Vectors of contexts, the latest ones kept: occasions repeat, and a shopper scrolls on."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self.lock = threading.Lock()
        """The encoder is used by one thread at a time."""

    def __call__(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the unit vector float32 ``[T]`` of each text."""
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        found: dict[str, NDArray[np.float32]] = {}
        if new:
            with self.lock:
                found = dict(zip(new, self._encoder.encode_contexts(new), strict=True))
        vectors = [found[text] if text in found else self._kept[text] for text in texts]
        for text, vector in zip(texts, vectors, strict=True):
            self._kept[text] = vector
            self._kept.move_to_end(text)
        while len(self._kept) > KEPT_CONTEXTS:
            self._kept.popitem(last=False)
        return vectors


@dataclass(frozen=True)
class Models:
    """What a set's requests are computed with."""

    folder: Path
    encoder: TextEncoder
    contexts: ContextEncoder
    tower: ServedUserTower
    reranker: Reranker
    builder: FeatureBuilder

    @classmethod
    def load(cls, folder: Path, manifest: Manifest, settings: EncoderSettings) -> "Models":
        """Read the models below ``folder``.

        Raises:
            ManifestError: parts do not fit one another.
        """
        try:
            encoder = TextEncoder.load(folder / TEXT_RETRIEVER, settings)
            tower = ServedUserTower.load(folder / USER_TOWER, ItemMatrix.load(folder / ITEM_INDEX))
            reranker, builder = load_reranker(folder / RERANKER)
        except (ValueError, KeyError, RuntimeError, FileNotFoundError) as error:
            raise ManifestError(f"set {manifest.set} cannot be read: {error}") from error
        widths = {
            "the text encoder": (encoder.dimension, tower.tower.shape.context),
            "the reranker's vocabulary": (len(builder.vocabulary), reranker.rows),
            "the pgvector index": (
                manifest.indexes["item_index"]["dimension"],
                tower.items.matrix.shape[1],
            ),
        }
        for what, (found, wanted) in widths.items():
            if found != wanted:
                raise ManifestError(
                    f"set {manifest.set} does not fit together: {what} has {found}, "
                    f"what reads it {wanted}"
                )
        return cls(folder, encoder, ContextEncoder(encoder), tower, reranker, builder)
