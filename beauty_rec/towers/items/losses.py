"""The loss of the item tower."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def simcse_loss(one: Tensor, two: Tensor, temperature: float) -> Tensor:
    """Return the NT-Xent loss of two views: each row's own other view against those of the rest.

    No tensor is larger than ``[B, B]``.

    Args:
        one, two: ``[B, D]``, the projected views; no two rows are the same item.
        temperature: divides the cosine.

    Source: SimCSE (Gao et al., 2021), equation 1.
    """
    cosines = normalize(one, dim=1) @ normalize(two, dim=1).T  # [B, D] x [D, B] -> [B, B]
    return cross_entropy(cosines / temperature, torch.arange(len(one), device=one.device))
