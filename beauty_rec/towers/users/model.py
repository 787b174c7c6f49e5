"""The user tower: history, context and profile, fused into the space of the item matrix.

A branch that has nothing to read gives a learned "empty" vector, so the others still answer.
The tower returns one weight per column of the item matrix; the score is their inner product.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.inputs import MOMENT_WIDTH, Requests

BRANCHES = ("behaviour", "context", "profile")


@dataclass(frozen=True)
class UserTowerShape:
    """The widths that the data decide.

    Attributes:
        tower: D, of the frozen item vectors.
        statistics: E, of the statistics columns.
        context: T, of the text encoder.
        profile: P, of an encoded profile.
        popularity: the column (0 to E - 1) that answers a request of which nothing is known.
    """

    tower: int
    statistics: int
    context: int
    profile: int
    popularity: int

    def to_json(self) -> dict[str, int]:
        """Return the widths by name."""
        return asdict(self)


class UserTower(nn.Module):
    """Requests → float32 ``[B, D + E]``.

    >>> shape = UserTowerShape(tower=8, statistics=3, context=4, profile=2, popularity=0)
    >>> UserTower(shape, UserTowerSettings(hidden=16)).weight_columns
    11
    """

    def __init__(self, shape: UserTowerShape, settings: UserTowerSettings) -> None:
        super().__init__()
        hidden, dropout = settings.hidden, settings.dropout
        self.shape, self.settings = shape, settings
        self.weight_columns = shape.tower + shape.statistics
        # past item vector, rating, log age -> H
        self.past = nn.Linear(self.weight_columns + 2, hidden)
        self.position = nn.Embedding(settings.max_history, hidden)
        layer = nn.TransformerEncoderLayer(
            hidden, settings.heads, 2 * hidden, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(
            layer, settings.layers, nn.LayerNorm(hidden), enable_nested_tensor=False
        )
        self.context = nn.Sequential(
            nn.Linear(shape.context, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )
        # A shop without profiles has a branch too; it is always empty.
        self.profile = nn.Linear(max(1, shape.profile), hidden)
        self.moment = nn.Linear(MOMENT_WIDTH, hidden)
        self.empty = nn.Parameter(torch.zeros(len(BRANCHES), hidden))
        self.fusion = nn.Sequential(
            nn.Linear((len(BRANCHES) + 1) * hidden, 2 * hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * hidden, self.weight_columns),
        )
        self._start_from_popularity()

    def _start_from_popularity(self) -> None:
        """Before training, every user vector is "the popular items": a baseline to improve on."""
        last = self.fusion[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.bias[self.shape.tower + self.shape.popularity] = 1.0

    def forward(self, requests: Requests, matrix: Tensor, without: Tensor | None = None) -> Tensor:
        """Return the user vectors ``[B, D + E]``.

        Args:
            requests: ``B`` of them.
            matrix: ``[N, D + E]``, the item matrix that the history's rows are looked up in.
            without: bool ``[B, 3]``, branches to be taken as empty (training, ablations).
        """
        present = torch.stack(
            [requests.has_history, requests.has_context, requests.has_profile], dim=1
        )
        if without is not None:
            present = present & ~without
        context = self.context(requests.context * self.shape.context**0.5)
        branches = torch.stack(
            [
                self._behaviour(requests, matrix, present[:, 0]),
                context,
                self.profile(self._filled(requests.profile)),
            ],
            dim=1,
        )  # [B, 3, H]
        branches = torch.where(present[:, :, None], branches, self.empty)
        read = torch.cat([branches.flatten(1), self.moment(requests.moment)], dim=1)  # [B, 4H]
        weights: Tensor = self.fusion(nn.functional.gelu(read))
        # An entry of a unit vector is about 1/sqrt(D): bring both blocks to one scale.
        tower = self.shape.tower
        return torch.cat([weights[:, :tower] * tower**0.5, weights[:, tower:]], dim=1)

    def _filled(self, profile: Tensor) -> Tensor:
        """Return ``[B, max(1, P)]``."""
        return nn.functional.pad(profile, (0, self.profile.in_features - profile.shape[1]))

    def _behaviour(self, requests: Requests, matrix: Tensor, present: Tensor) -> Tensor:
        """Return ``[B, H]``: the mean of the Transformer's outputs; 0 for an absent history."""
        out = matrix.new_zeros(len(requests), self.empty.shape[1])
        inside = requests.items >= 0
        # The span that holds all of a history, wherever its unknown items lie.
        place = torch.arange(inside.shape[1], device=inside.device)
        span = torch.where(inside, inside.shape[1] - place, 0).amax(1) if len(place) else out[:, 0]
        # Most histories are short: passes of their own spare them the padding of the long ones.
        for rows, width in _by_length(span * present, self.position.num_embeddings):
            part = slice(max(0, inside.shape[1] - width), None)
            read = self._read(requests, matrix, rows, part)
            out = out.index_put((rows,), read.to(out.dtype))
        return out

    def _read(self, requests: Requests, matrix: Tensor, rows: Tensor, part: slice) -> Tensor:
        items = requests.items[rows, part]
        inside = items >= 0
        vectors = matrix[items.clamp(min=0)]  # [b, L, D + E]
        tower = self.shape.tower
        vectors = torch.cat([vectors[..., :tower] * tower**0.5, vectors[..., tower:]], dim=2)
        rating = (requests.ratings[rows, part] - 3) / 2
        age = torch.log1p(requests.age_days[rows, part].clamp(min=0)) / 4
        past = self.past(torch.cat([vectors, rating[..., None], age[..., None]], dim=2))
        # Position counts back from the newest event, so that it means the same at any length.
        back = inside.flip(1).cumsum(1).flip(1).sub(1).clamp(min=0)
        read = self.transformer(past + self.position(back), src_key_padding_mask=~inside)
        keep = inside[..., None].to(read.dtype)
        mean: Tensor = (read * keep).sum(dim=1) / keep.sum(dim=1)
        return mean


WIDTHS = 6, 16
"""Past events of histories that are read together; the rest are read at full width."""


def _by_length(length: Tensor, longest: int) -> list[tuple[Tensor, int]]:
    """Return (rows, width) of histories about as long as each other; empty groups are left out."""
    groups, above, length = [], 0, length.clamp(max=longest)
    for width in (*(width for width in WIDTHS if width < longest), longest):
        rows = ((length > above) & (length <= width)).nonzero()[:, 0]
        if len(rows):
            groups.append((rows, width))
        above = width
    return groups
