"""The models of a set, read from its folder and checked against one another."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.measures.finite import refuse_non_finite
from beauty_rec.ranking.apply import load_rankers
from beauty_rec.ranking.features.build import FeatureBuilder
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.ranker import Ranker
from beauty_rec.recommender.online.sets.manifest import Manifest, ManifestError
from beauty_rec.recommender.online.sets.memory import read_in
from beauty_rec.recommender.online.sets.parts import (
    ITEM_INDEX,
    ITEM_TABLE,
    LEXICAL_INDEX,
    RERANKER,
    TEXT_RETRIEVER,
    USER_TOWER,
    VOCABULARY,
)
from beauty_rec.recommender.orders import Orders
from beauty_rec.recommender.path import AnswerPath
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.settings import EncoderSettings
from beauty_rec.towers.users.item_matrix import ItemMatrix
from beauty_rec.towers.users.served import ServedUserTower

KEPT_CONTEXTS = 4_096


class ContextEncoder:
    """Vectors of contexts, the latest ones kept: occasions repeat, and a shopper scrolls on."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        # In one array: vectors allocated one by one would lie among the tensors that come and go,
        # and hold their memory.
        self._vectors = np.full((KEPT_CONTEXTS, encoder.dimension), np.nan, np.float32)
        self._row_of: OrderedDict[str, int] = OrderedDict()
        self._keeping = threading.Lock()
        self.lock = threading.Lock()
        """The encoder is used by one thread at a time."""

    def __call__(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the unit vector float32 ``[T]`` of each text."""
        asked = list(dict.fromkeys(texts))
        with self._keeping:
            found = {t: self._vectors[self._row_of[t]].copy() for t in asked if t in self._row_of}
        if new := [text for text in asked if text not in found]:
            with self.lock:
                vectors = self._encoder.encode_contexts(new)
            found |= zip(new, vectors, strict=True)
        with self._keeping:
            for text in asked:
                self._keep(text, found[text])
        return [found[text] for text in texts]

    def _keep(self, text: str, vector: NDArray[np.float32]) -> None:
        if text not in self._row_of:
            full = len(self._row_of) == len(self._vectors)
            row = self._row_of.popitem(last=False)[1] if full else len(self._row_of)
            self._vectors[row], self._row_of[text] = vector, row
        self._row_of.move_to_end(text)


@dataclass(frozen=True)
class Models:
    """What a set's requests are computed with."""

    folder: Path
    encoder: TextEncoder
    contexts: ContextEncoder
    tower: ServedUserTower
    words: ItemWords
    table: ItemTable
    builder: FeatureBuilder
    learned: Mapping[str, Ranker]
    orders: Orders

    @classmethod
    def load(
        cls,
        folder: Path,
        manifest: Manifest,
        settings: EncoderSettings,
        like: "Models | None" = None,
    ) -> "Models":
        """Read the models below ``folder``.

        Args:
            folder, manifest: of the set.
            settings: of the encoder.
            like: of a set with the same text encoder, which is then shared.

        Raises:
            ManifestError: parts do not fit one another, weights or vectors are not finite, or what
                is served needs a model that cannot be loaded here.
        """
        try:
            refuse_non_finite(folder)
            encoder = like.encoder if like else TextEncoder.load(folder / TEXT_RETRIEVER, settings)
            read_in(encoder.model.parameters())
            tower = ServedUserTower.load(folder / USER_TOWER, ItemMatrix.load(folder / ITEM_INDEX))
            words = ItemWords.load(folder / LEXICAL_INDEX)
            table = ItemTable.load(folder / ITEM_TABLE)
            vocabulary = Vocabulary.load(folder / VOCABULARY)
            learned, builder = load_rankers(folder / RERANKER, vocabulary)
            builder = builder.with_later(table.described)
            orders = Orders.load(folder / RERANKER)
        except (ValueError, KeyError, RuntimeError, FileNotFoundError) as error:
            raise ManifestError(f"set {manifest.set} cannot be read: {error}") from error
        widths = {
            "the text encoder": (encoder.dimension, tower.tower.shape.context),
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
        if fault := orders.fault(learned):
            raise ManifestError(f"set {manifest.set} cannot be served here: {fault}")
        contexts = like.contexts if like else ContextEncoder(encoder)
        return cls(folder, encoder, contexts, tower, words, table, builder, learned, orders)

    def path(self, space: ItemSpace, tower: ServedUserTower, *, reads_texts: bool) -> AnswerPath:
        """Return the answer path over an item space."""
        return AnswerPath(
            space,
            tower,
            self.words,
            self.table,
            self.builder,
            self.learned,
            self.orders,
            reads_texts,
        )
