"""DeepFM: a linear model, a factorization machine and a network over shared embeddings.

Guo et al. 2017, https://arxiv.org/abs/1703.04247. Each part is additive in the fields, or starts
with a layer that is: what the fields of a query and those of an item add is computed once for each
distinct query and item of a batch, and a candidate only sums the two. The result is that of the
plain form, candidate by candidate. The factorization machine sees a dense value as a field with one
id, its bin; the network sees the value, and the linear model both.

>>> model = DeepFM(100, Fields(user=(1, 8), item=(1, 1, 4), dense=3), RankingSettings())
>>> zeros = lambda *shape: torch.zeros(shape, dtype=torch.int64)
>>> model(Batch(zeros(2, 9), zeros(5, 6), zeros(7), zeros(7), torch.zeros(7, 3))).shape
torch.Size([7])
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from beauty_rec.settings import RankingSettings


class Fields(NamedTuple):
    """Slots of each sparse field of a query and of an item, and the number of dense values.

    ``bins``: of all dense values together; with 0 the factorization machine sees none of them.
    """

    user: tuple[int, ...]
    item: tuple[int, ...]
    dense: int
    bins: int = 0


class Batch(NamedTuple):
    """B candidates: pairs of one of U queries and one of I items. Id 0 fills empty slots."""

    user_ids: Tensor
    """int [U, slots of the query's fields]"""
    item_ids: Tensor
    """int [I, slots of the item's fields]"""
    user_row: Tensor
    """int [B], into ``user_ids``"""
    item_row: Tensor
    """int [B], into ``item_ids``"""
    dense: Tensor
    """float32 [B, dense]"""
    bins: Tensor | None = None
    """int [B, dense values with bins], into the bins of all of them"""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(*(part.to(device) for part in self if part is not None))  # bins stand last


class Dropout(nn.Dropout):
    """Dropout whose draws are the same on every device: they are made on the CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """Return what is kept, scaled so that the expectation stays."""
        if not self.training or not self.p:
            return input
        kept = torch.empty(input.shape).bernoulli_(1 - self.p).div_(1 - self.p)
        return input * kept.to(input)


class DeepFM(nn.Module):
    """``forward`` maps a :class:`Batch` to logits [B].

    A field with several ids is the mean (or sum) of their embeddings, an empty one is zero.

    Args:
        rows: of the embedding table, the vocabulary's length.
        fields: the layout of a batch.
        settings: embedding_dim D, hidden, dropout, pooling, embedding_std.
    """

    source: nn.Parameter | None
    project: nn.Parameter | None
    bins: nn.Parameter | None
    empty: Tensor | None
    user_starts: Tensor
    item_starts: Tensor

    def __init__(self, rows: int, fields: Fields, settings: RankingSettings) -> None:
        super().__init__()
        self.dim = settings.embedding_dim
        self.pooling = settings.pooling
        # Column 0 is the id's linear weight, the rest its embedding: one lookup for both.
        self.table = nn.Parameter(torch.randn(rows, 1 + self.dim) * settings.embedding_std)
        with torch.no_grad():
            self.table[:, 0] = 0.0
            self.table[0] = 0.0
        self.register_parameter("source", None)
        self.register_parameter("project", None)
        self.register_parameter("bins", None)
        self.register_buffer("empty", None, persistent=False)
        self.linear = nn.Linear(fields.dense, 1)
        width = settings.hidden[0]
        # One layer over [query fields | item fields | dense], kept as its three blocks of columns.
        self.deep_user = nn.Linear(len(fields.user) * self.dim, width, bias=False)
        self.deep_item = nn.Linear(len(fields.item) * self.dim, width, bias=False)
        self.deep_dense = nn.Linear(fields.dense, width)
        layers: list[nn.Module] = [nn.ReLU(), Dropout(settings.dropout)]
        for before, after in zip(settings.hidden, settings.hidden[1:], strict=False):
            layers += [nn.Linear(before, after), nn.ReLU(), Dropout(settings.dropout)]
        self.deep = nn.Sequential(*layers, nn.Linear(settings.hidden[-1], 1, bias=False))
        if fields.bins:
            bins = torch.randn(fields.bins, 1 + self.dim) * settings.embedding_std
            bins[:, 0] = 0.0
            self.bins = nn.Parameter(bins)
        self.register_buffer("user_starts", _starts(fields.user), persistent=False)
        self.register_buffer("item_starts", _starts(fields.item), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits [B]."""
        user_fields, item_fields = self._pool(batch.user_ids, batch.item_ids)
        user, item = _add(user_fields, self.deep_user), _add(item_fields, self.deep_item)
        # [U, 1 + D + H], [I, 1 + D + H] -> [B, 1 + D + H]
        pair = user.index_select(0, batch.user_row) + item.index_select(0, batch.item_row)
        first, total, hidden = pair.split([1, self.dim, pair.shape[1] - 1 - self.dim], dim=1)
        if self.bins is not None and batch.bins is not None:
            one, vectors = self.bins[batch.bins].split([1, self.dim], dim=2)
            first = first + one.sum(1) - vectors.square().sum((1, 2))[:, None] / 2
            total = total + vectors.sum(1)
        # Of sum_{f<g} <v_f, v_g> = (|sum_f v_f|^2 - sum_f |v_f|^2) / 2 the second term is in first.
        logits = first + total.square().sum(1, keepdim=True) / 2 + self.linear(batch.dense)
        found: Tensor = (logits + self.deep(hidden + self.deep_dense(batch.dense))).squeeze(1)
        return found

    def _pool(self, user_ids: Tensor, item_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return each field's mean or sum, [U, F, 1 + D] and [I, G, 1 + D], by one lookup."""
        starts, bags, done = [], [], 0
        if self.empty is not None:
            user_ids, item_ids = (
                ids.masked_fill(self.empty[ids], 0) for ids in (user_ids, item_ids)
            )
        for ids, first in ((user_ids, self.user_starts), (item_ids, self.item_starts)):
            rows = torch.arange(len(ids), device=ids.device, dtype=ids.dtype)[:, None]
            starts.append((rows * ids.shape[1] + first + done).flatten())
            bags.append(rows.numel() * len(first))
            done += ids.numel()
        pooled = embedding_bag(
            torch.cat([user_ids.flatten(), item_ids.flatten()]),
            self._table(),
            torch.cat(starts).to(user_ids.dtype),
            mode=self.pooling,
            padding_idx=0,
        )
        user, item = pooled.split(bags)
        return (
            user.view(len(user_ids), -1, 1 + self.dim),
            item.view(len(item_ids), -1, 1 + self.dim),
        )

    @torch.no_grad()
    def transfer(self, rows: Tensor, scale: float) -> None:
        """Let the embeddings start as a learned projection of ``rows`` [V, K], the item tower's.

        The embedding of id v is its own row of the table plus ``rows[v]`` times a matrix [K, D],
        shared by all ids. At the start it stands alone: the D directions of largest variance, of
        std ``scale``. An id of zeros, of which the tower knows nothing, and the ids past V keep
        their random start. :meth:`fold` ends it.

        Raises:
            ValueError: ``rows`` has more rows than the table.
        """
        if len(rows) > len(self.table):
            raise ValueError(f"{len(rows)} embeddings for a table of {len(self.table)} rows")
        known = rows.any(dim=1)
        if not known.any():
            return
        source = rows.new_zeros(len(self.table), rows.shape[1], dtype=self.table.dtype)
        source[: len(rows)] = rows / rows[known].square().mean().sqrt().clamp_min(1e-12)
        source[0] = 0.0
        self.source = nn.Parameter(source)
        directions = torch.linalg.svd(source, full_matrices=False).Vh[: self.dim].T
        project = source.new_zeros(rows.shape[1], self.dim)
        project[:, : directions.shape[1]] = directions
        found = source[: len(rows)][known] @ project
        self.project = nn.Parameter(project * (scale / found.std().clamp_min(1e-12)))
        self.table[: len(rows), 1:][known] = 0.0

    @torch.no_grad()
    def grow(self, stand_ins: Tensor) -> None:
        """Give ids that came after the training rows, which say what was said without them.

        The rows of before stay, bit for bit.

        Args:
            stand_ins: int64, of each new id the one whose row it takes; one that takes that of id 0
                is an empty slot, too. See
                :meth:`~beauty_rec.items.vocabulary.Vocabulary.stand_ins`.
        """
        if not len(stand_ins):
            return
        known = torch.zeros(len(self.table), dtype=torch.bool)
        self.empty = torch.cat([known, stand_ins == 0])
        self.table = nn.Parameter(torch.cat([self.table, self.table[stand_ins]]))

    def _table(self) -> Tensor:
        """Return linear weights and embeddings of all ids, [rows, 1 + D]."""
        if self.source is None or self.project is None:
            return self.table
        return self.table + nn.functional.pad(self.source @ self.project, (1, 0))

    @torch.no_grad()
    def fold(self) -> None:
        """Make what was transferred a part of the table; the logits stay the same."""
        self.table.copy_(self._table())
        self.source = self.project = None


def _add(fields: Tensor, deep: nn.Linear) -> Tensor:
    """Return what the fields [N, F, 1 + D] add to a candidate, [N, 1 + D + H].

    Linear part less half the squared norms [N, 1], sum of the embeddings [N, D], first layer of
    the network [N, H].
    """
    vectors = fields[:, :, 1:]
    first = fields[:, :, 0].sum(1, keepdim=True) - vectors.square().sum((1, 2))[:, None] / 2
    return torch.cat([first, vectors.sum(1), deep(vectors.flatten(1))], dim=1)


def _starts(widths: tuple[int, ...]) -> Tensor:
    """Return the first slot of each field."""
    return torch.tensor([sum(widths[:i]) for i in range(len(widths))], dtype=torch.int64)
