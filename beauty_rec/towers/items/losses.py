"""The loss of the item tower."""

import torch
from torch import Tensor


def simcse_loss(one: Tensor, two: Tensor, temperature: float) -> Tensor:
    """Return the NT-Xent loss of two views: each row's own other view against those of the rest.

    Args:
        one, two: ``[B, D]``, the projected views; no two rows are the same item.
        temperature: divides the cosine.

    Source: SimCSE (Gao et al., 2021), equation 1.
    """
    from pytorch_metric_learning.losses import NTXentLoss

    # References keep it at B x B(B - 1) numbers; all 2B views at once would be eight times that.
    rows = torch.arange(len(one), device=one.device)
    loss: Tensor = NTXentLoss(temperature)(one, rows, ref_emb=two, ref_labels=rows.clone())
    return loss
