"""Vectors of item texts: the same of every asset that makes them, whatever encodes them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.orchestration.stage.ray_data import spread
from beauty_rec.orchestration.stage.row_cache import reused_vectors
from beauty_rec.orchestration.storage.resources import EncoderResource
from beauty_rec.settings import Settings


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
    from beauty_rec.retriever.encoding.kept_recall import WORTHWHILE, int8_recall
    from beauty_rec.retriever.encoding.workers import Model, item_encoder

    loaded = encoder.load(source, settings.encoder)
    quantized = False
    if loaded.may_quantize and len(texts) >= WORTHWHILE:
        recall = int8_recall(loaded, texts)
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
