"""Vectors of item texts, the same of every asset that makes them, and vectors of what is asked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.orchestration.stage.ray_data import spread
from beauty_rec.orchestration.stage.row_cache import cache_of, maker_for, reused_vectors
from beauty_rec.orchestration.storage.resources import EncoderResource
from beauty_rec.settings import Settings

if TYPE_CHECKING:
    from beauty_rec.retriever.encoder import TextEncoder


def embedded(
    context: dg.AssetExecutionContext,
    encoder: EncoderResource,
    source: str | Path,
    texts: Sequence[str],
    settings: Settings,
    kind: str = "",
) -> NDArray[np.float32]:
    """Return the unit vectors of item texts, float32 ``[len(texts), T]``.

    What was embedded before is taken over; int8 is used where it finds what float32 does.

    Args:
        context: of the asset.
        encoder: loads the model.
        source: its name or folder.
        texts: of the items.
        settings: of the run.
        kind: of the vectors, of an asset that has several.
    """
    from beauty_rec.retriever.encoding.kept_recall import WORTHWHILE, int8_recall, steady_recall
    from beauty_rec.retriever.encoding.workers import Model, item_encoder

    loaded = encoder.load(source, settings.encoder)
    quantized = False
    if loaded.may_quantize and len(texts) >= WORTHWHILE:
        path = cache_of(context, settings, kind).with_suffix(".int8.json")
        recall = steady_recall(path, maker_for(context, source), lambda: int8_recall(loaded, texts))
        quantized = recall.holds
        context.add_asset_metadata(
            {"recall@10_float32": recall.float32, "recall@10_int8": recall.int8}
        )
    context.add_asset_metadata({"precision": loaded.precision_of_items(quantized=quantized)})

    def encode(chunks: Iterable[list[int]]) -> Iterator[NDArray[np.float32]]:
        parts = ([texts[row] for row in rows] for rows in chunks)
        if settings.execution.executor != "ray":
            for some in parts:
                yield loaded.encode_items(some, quantized=quantized)
            return
        frames = (pl.DataFrame({"text": some}, schema={"text": pl.String}) for some in parts)
        made = (Model.of(source), settings.encoder, quantized)
        for found in spread(settings, frames, item_encoder, *made, gpu=True):
            yield found["vector"].to_numpy()

    chunk = settings.encoder.chunk
    return reused_vectors(
        context, settings, source, texts, encode, quantized, chunk=chunk, kind=kind
    )


@dataclass(frozen=True)
class KeptQueries:
    """A text encoder whose vectors of queries are taken over from the run before.

    The cache holds what was asked last, of each split and ``kind``, and nothing else.
    """

    context: dg.AssetExecutionContext
    settings: Settings
    encoder: "TextEncoder"
    source: str | Path
    kind: str

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return those of :meth:`TextEncoder.encode_queries`."""
        return self._kept(texts, self.encoder.encode_queries)

    def encode_contexts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return those of :meth:`TextEncoder.encode_contexts`."""
        return self._kept(texts, self.encoder.encode_contexts)

    def _kept(
        self, texts: Sequence[str], encode: Callable[[Sequence[str]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        def compute(chunks: Iterable[list[int]]) -> Iterator[NDArray[np.float32]]:
            for rows in chunks:
                yield encode([texts[row] for row in rows])

        return reused_vectors(
            self.context,
            self.settings,
            self.source,
            texts,
            compute,
            chunk=self.settings.encoder.chunk,
            kind=f"{self.context.partition_key}-{self.kind}",
        )
