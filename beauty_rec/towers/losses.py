"""The losses of both towers, and the figures that tell a good space from a collapsed one."""

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


def alignment(one: Tensor, two: Tensor) -> Tensor:
    """Return the mean squared distance of the two views, unit vectors ``[B, D]``; 0 is best.

    Source: Wang and Isola (2020), alpha = 2.
    """
    return (one - two).pow(2).sum(dim=1).mean()


def uniformity(vectors: Tensor) -> Tensor:
    """Return ``log mean exp(-2 |x - y|²)`` over the pairs of unit vectors ``[N, D]``.

    0 when all are one point; the lower, the more evenly they fill the sphere.

    Source: Wang and Isola (2020), t = 2.
    """
    return torch.pdist(vectors).pow(2).mul(-2).exp().mean().log()


def neighbour_purity(vectors: Tensor, classes: Tensor, k: int = 10) -> tuple[float, float]:
    """Return the share of the ``k`` nearest of one's own class, and the same by chance.

    Args:
        vectors: unit vectors ``[N, D]``.
        classes: int ``[N]``; -1 is "unknown" and left out.
        k: neighbours, fewer when there are fewer items.
    """
    vectors, classes = vectors[classes >= 0], classes[classes >= 0]
    n = len(vectors)
    if n < 2:
        return float("nan"), float("nan")
    near = (vectors @ vectors.T).fill_diagonal_(-torch.inf).topk(min(k, n - 1)).indices
    purity = (classes[near] == classes[:, None]).float().mean()
    size = torch.bincount(classes).float()
    chance = (size * (size - 1)).sum() / (n * (n - 1))
    return float(purity), float(chance)


def mean_cosine(vectors: Tensor) -> float:
    """Return the mean cosine of two different rows of unit vectors ``[N, D]``; 1 is a collapse."""
    n = len(vectors)
    if n < 2:
        return float("nan")
    return float((vectors.sum(dim=0).pow(2).sum() - n) / (n * (n - 1)))


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
