"""The ranking loss of a batch, with as little padding as its texts allow."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.encoding.token_batches import token_batches
from beauty_rec.settings import FineTuneSettings
from beauty_rec.training.team import Team

_TEXTS = 8
"""That are padded to one length on a CPU, where padding costs more than small products."""
_TOKENS = 8_192
"""That are padded to one length elsewhere, which keep a GPU busy."""


def ranking_loss(model: Any, settings: FineTuneSettings) -> Any:
    """Return the ranking loss; whether a batch goes through its gradient cache, the batch decides.

    With a ``guide_margin`` the model as it is now judges what is a negative (Solatorio, GISTEmbed,
    2024, https://arxiv.org/abs/2402.16829): in a shop of likes, what a batch holds beside the
    answer is often an answer too.
    """
    from sentence_transformers.sentence_transformer.losses import (
        CachedGISTEmbedLoss,
        CachedMultipleNegativesRankingLoss,
    )

    if settings.guide_margin is not None:
        return CachedGISTEmbedLoss(
            model,
            deepcopy(model).requires_grad_(False),
            temperature=settings.temperature,
            margin=settings.guide_margin,
            gather_across_devices=Team.now().size > 1,
            contrast_anchors=False,
            contrast_positives=False,
        )
    options: dict[str, Any] = {}
    if settings.symmetric:
        options = {
            "directions": ("query_to_doc", "doc_to_query"),
            "partition_mode": "per_direction",
        }
    return CachedMultipleNegativesRankingLoss(
        model,
        scale=1 / settings.temperature,
        gather_across_devices=Team.now().size > 1,
        **options,
    )


def batch_loss(
    encoder: TextEncoder, loss_of: Any, columns: Sequence[Sequence[str]], chunk_tokens: int
) -> torch.Tensor:
    """Return the loss of a batch: queries, positives and any negatives, ``B`` texts each.

    A batch of at most ``chunk_tokens`` passes forward once, and its activations are kept. A larger
    one goes through the gradient cache: it passes twice, and keeps those of some texts at a time,
    as many as stay below ``chunk_tokens`` if all were as long as the longest of the batch.
    Processes that train together cut their shares alike, since they hand each other the vectors of
    each cut.
    """
    limits = [encoder.max_query_tokens, *[encoder.max_item_tokens] * (len(columns) - 1)]
    parts = [_Column(encoder, *column) for column in zip(columns, limits, strict=True)]
    whole, texts = Team.now().least(
        sum(part.tokens for part in parts) <= chunk_tokens,
        max(1, chunk_tokens // max(part.longest for part in parts)),
    )
    rows = len(columns[0])
    loss_of.mini_batch_size = rows if whole else min(rows, texts)
    if not whole:
        features = [encoder.padded(part.ids, range(rows)) for part in parts]
        cached: torch.Tensor = loss_of(features, torch.empty(0))  # no labels: the row says it
        return cached
    vectors = [[[part.embedded(encoder.model)] for part in parts]]
    if hasattr(loss_of, "guide"):
        with torch.no_grad():
            vectors.append([[part.embedded(loss_of.guide)] for part in parts])
    plain: torch.Tensor = loss_of.calculate_loss(*vectors)
    return plain


class _Column:
    """Texts of a batch, cut into tokens, in groups of like length that are padded alike."""

    def __init__(self, encoder: TextEncoder, texts: Sequence[str], max_tokens: int) -> None:
        self._encoder = encoder
        self.ids = encoder.tokenized(texts, max_tokens)
        lengths = [len(row) for row in self.ids["input_ids"]]
        if encoder.model.device.type == "cpu":
            order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
            self._groups = [order[i : i + _TEXTS] for i in range(0, len(order), _TEXTS)]
        else:
            self._groups = token_batches(lengths, _TOKENS, same_length=False)
        self.longest = max(lengths)
        self.tokens = sum(len(rows) * max(lengths[row] for row in rows) for rows in self._groups)

    def embedded(self, model: Any) -> torch.Tensor:
        """Return the embeddings ``[B, D]`` of the texts, in their order."""
        parts = [
            model(self._encoder.padded(self.ids, rows))["sentence_embedding"]
            for rows in self._groups
        ]
        order = torch.tensor([row for rows in self._groups for row in rows])
        return torch.cat(parts)[torch.argsort(order).to(parts[0].device)]
