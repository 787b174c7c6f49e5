"""The item tower: what an item is (STD) asks what is said of it (RE, title).

STD embeddings are the Query, RE embeddings and title tokens Key and Value of a multi-head
cross-attention. Its answer passes a gate that is closed where an item has neither.
"""

import torch
from torch import Tensor, nn

from beauty_rec.settings import ItemTowerSettings
from beauty_rec.towers.items.features import MASK, PAD


class ItemTower(nn.Module):
    """Ids and title states → ``[B, D]``.

    >>> tower = ItemTower(10, 2, 4, ItemTowerSettings(dimension=8, embedding=8)).eval()
    >>> std, re = torch.tensor([[3, 4]]), torch.tensor([[5, 0]])
    >>> tower(std, re, torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.bool)).shape
    torch.Size([1, 8])
    """

    def __init__(
        self,
        vocabulary: int,
        std_fields: int,
        title_width: int,
        settings: ItemTowerSettings,
        attributes: int = 0,
    ) -> None:
        """Make a tower.

        Args:
            vocabulary: number of ids, the special ones among them; STD and RE share one table.
            std_fields: S.
            title_width: H, of the title encoder's states.
            settings: sizes and dropout.
            attributes: A, columns of the attribute space; see
                :mod:`~beauty_rec.towers.items.attribute_space`.
        """
        super().__init__()
        width, dimension = settings.embedding, settings.dimension
        self.settings = settings
        # As small as the other embeddings at the start: what is learned must outweigh it.
        start = torch.randn(vocabulary, width) * settings.embedding_std
        start[PAD] = 0.0
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD, _weight=start)
        self.field = nn.Parameter(torch.randn(std_fields, width) * 0.02)
        self.title = nn.Linear(title_width, width)
        self.kind = nn.Parameter(torch.randn(2, width) * 0.02)  # of a key: RE, title
        self.attention = nn.MultiheadAttention(
            width, settings.heads, settings.dropout, batch_first=True
        )
        self.gate = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(2 * width, width),
        )
        self.out_norm = nn.LayerNorm(width)
        self.out = nn.Linear(std_fields * width, dimension)
        self.projection = nn.Sequential(
            nn.Linear(dimension, dimension), nn.GELU(), nn.Linear(dimension, dimension)
        )
        self.space: Tensor
        self.register_buffer("space", torch.zeros(vocabulary, attributes))

    def forward(self, std: Tensor, re: Tensor, title: Tensor, title_mask: Tensor) -> Tensor:
        """Return ``[B, D]``, before any normalisation.

        Args:
            std: int64 ``[B, S]``.
            re: int64 ``[B, R]``; a value whose row is zeros (``PAD``, one without training) is no
                key.
            title: ``[B, T, H]``, token states.
            title_mask: bool ``[B, T]``; True is a token.
        """
        query = self.embedding(std) + self.field  # [B, S, E]
        values = self.embedding(re)  # [B, R, E]
        keys = torch.cat(
            [values + self.kind[0], self.title(title) + self.kind[1]], dim=1
        )  # [B, R + T, E]
        inside = torch.cat([values.any(dim=2), title_mask], dim=1)  # [B, R + T]
        mixed = self.norm(query + self._answer(query, keys, inside))
        mixed = self.out_norm(mixed + self.mix(mixed))
        vectors: Tensor = self.out(nn.functional.gelu(mixed).flatten(1))  # [B, S * E] -> [B, D]
        return vectors

    def _answer(self, query: Tensor, keys: Tensor, inside: Tensor) -> Tensor:
        """Return ``[B, S, E]``, exactly 0 for an item without a single key."""
        some = inside.any(dim=1)
        if not some.any():
            return torch.zeros_like(query)
        # Attention over no key at all is 0/0: such rows look at everything, and the gate shuts.
        hidden = ~inside & some[:, None]
        answer, _ = self.attention(query, keys, keys, key_padding_mask=hidden, need_weights=False)
        gate = torch.sigmoid(self.gate(torch.cat([query, answer], dim=2)))
        return torch.where(some[:, None, None], gate * answer, torch.zeros_like(query))

    @torch.no_grad()
    def grow(self, stand_ins: Tensor) -> None:
        """Give ids that came after the training rows, which say what was said without them.

        The rows of before stay, bit for bit.

        Args:
            stand_ins: int64, of each new id the one whose row it takes; see
                :meth:`~beauty_rec.items.vocabulary.Vocabulary.stand_ins`.
        """
        table = self.embedding.weight
        grown = torch.cat([table, table[stand_ins]])
        self.embedding = nn.Embedding(len(grown), table.shape[1], padding_idx=PAD, _weight=grown)
        self.space = torch.cat([self.space, self.space[stand_ins]])

    def views(
        self, std: Tensor, re: Tensor, title: Tensor, title_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the inputs of 2B views: the first of each item, then the second of each.

        What one view hides, the other shows: each value falls to one of them, and so does the
        title, of which some tokens are dropped besides. So two views meet only by what usually
        goes together, not by what they share. A view that would show nothing shows all. What is
        hidden is drawn on the CPU, so that a GPU learns from the same views.

        Source: complementary masking of Yao et al., Self-supervised learning for large-scale item
        recommendations (CIKM 2021).
        """
        share, masked = self.settings.feature_dropout, self.settings.token_masking
        device = std.device
        first = [
            (torch.rand(part) < share).to(device)
            for part in (std.shape, re.shape, torch.Size([len(std), 1]))
        ]
        parts = []
        for hidden in (first, [~part for part in first]):
            shown = torch.cat([(std != PAD) & ~hidden[0], (re != PAD) & ~hidden[1]], dim=1)
            some = shown.any(dim=1) | (title_mask & ~hidden[2]).any(dim=1)
            std_hidden, re_hidden, title_hidden = (part & some[:, None] for part in hidden)
            kept = (torch.rand(title_mask.shape) >= masked).to(device)
            parts.append(
                (
                    torch.where(std_hidden, MASK, std),
                    torch.where(re_hidden, PAD, re),
                    title,
                    title_mask & ~title_hidden & kept,
                )
            )
        std, re, title, title_mask = (torch.cat(pair) for pair in zip(*parts, strict=True))
        return std, re, title, title_mask
