"""The loss of the user tower."""

import torch
from torch import Tensor


def sampled_softmax_loss(
    users: Tensor, items: Tensor, positives: Tensor, candidates: Tensor, expected: Tensor
) -> Tensor:
    """Return the softmax cross-entropy over in-batch and extra negatives, with logQ correction.

    Each candidate's score is lowered by the log of how often the sampling was expected to draw
    it, so that a popular item is not punished for being everybody's negative. A candidate that
    is the row's own positive once more is masked.

    Args:
        users: ``[B, W]``.
        items: ``[C, W]``, the rows of ``candidates``.
        positives: int ``[B]``, item of each row; ``candidates[:B]`` are the same.
        candidates: int ``[C]``, C >= B.
        expected: ``[C]``, the expected number of draws of each candidate in a batch, > 0.

    Source: Bengio and Senécal (2008); Yi et al. (2019), section 3.
    """
    scores = users @ items.T - expected.log()  # [B, W] x [W, C] -> [B, C]
    again = candidates[None, :] == positives[:, None]
    again[:, : len(positives)].fill_diagonal_(False)
    target = torch.arange(len(positives), device=users.device)
    return torch.nn.functional.cross_entropy(scores.masked_fill(again, -torch.inf), target)
