"""The ranking loss of a batch, with as little padding as its texts allow."""

from copy import deepcopy
from typing import Any

import torch

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.settings import FineTuneSettings
from beauty_rec.training.team import Team

_CHUNK = {"cpu": 8}
_CHUNK_ELSEWHERE = 32
"""Texts that are padded to one length. On a CPU the padding costs more than small products."""


def ranking_loss(model: Any, settings: FineTuneSettings) -> torch.nn.Module:
    """Return the ranking loss: plain where a batch is one piece, through a gradient cache else.

    With a ``guide_margin`` the model as it is now judges what is a negative (Solatorio, GISTEmbed,
    2024, https://arxiv.org/abs/2402.16829): in a shop of likes, what a batch holds beside the
    answer is often an answer too.
    """
    from sentence_transformers.sentence_transformer.losses import (
        CachedGISTEmbedLoss,
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )

    if settings.guide_margin is not None:
        return CachedGISTEmbedLoss(
            model,
            deepcopy(model).requires_grad_(False),
            temperature=settings.temperature,
            mini_batch_size=min(settings.mini_batch_size, settings.batch_size),
            margin=settings.guide_margin,
            gather_across_devices=Team.now().size > 1,
            contrast_anchors=False,
            contrast_positives=False,
        )
    options: dict[str, Any] = {
        "scale": 1 / settings.temperature,
        "gather_across_devices": Team.now().size > 1,
    }
    if settings.symmetric:
        options |= {
            "directions": ("query_to_doc", "doc_to_query"),
            "partition_mode": "per_direction",
        }
    if settings.batch_size > settings.mini_batch_size:
        return CachedMultipleNegativesRankingLoss(
            model, mini_batch_size=settings.mini_batch_size, **options
        )
    return MultipleNegativesRankingLoss(model, **options)


def batch_loss(
    encoder: TextEncoder, loss_of: torch.nn.Module, columns: list[list[str]]
) -> torch.Tensor:
    """Return the loss of a batch: queries, positives and any negatives, ``B`` texts each."""
    limits = [encoder.max_query_tokens, *[encoder.max_item_tokens] * (len(columns) - 1)]
    no_labels = torch.empty(0)  # the positive of a query is the item in its own row
    from_embeddings = getattr(loss_of, "compute_loss_from_embeddings", None)
    if from_embeddings is None:
        features = [encoder.features(*column) for column in zip(columns, limits, strict=True)]
        cached: torch.Tensor = loss_of(features, no_labels)
        return cached
    embeddings = [_embed(encoder, *column) for column in zip(columns, limits, strict=True)]
    plain: torch.Tensor = from_embeddings(embeddings, no_labels)
    return plain


def _embed(encoder: TextEncoder, texts: list[str], max_tokens: int) -> torch.Tensor:
    """Return embeddings ``[B, D]`` with gradients; texts of like length share a padded chunk."""
    order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
    size = _CHUNK.get(encoder.model.device.type, _CHUNK_ELSEWHERE)
    parts = [
        encoder.model(
            encoder.features([texts[row] for row in order[start : start + size]], max_tokens)
        )["sentence_embedding"]
        for start in range(0, len(order), size)
    ]
    back = torch.argsort(torch.tensor(order)).to(parts[0].device)
    return torch.cat(parts)[back]
