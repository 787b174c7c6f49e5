import math

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss
from torch.utils._python_dispatch import TorchDispatchMode

from beauty_rec.measures.vectors import alignment, mean_cosine, neighbour_purity, uniformity
from beauty_rec.towers.items.losses import simcse_loss
from beauty_rec.towers.users.train.losses import sampled_softmax_loss


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(*shape, generator=generator, dtype=dtype)
    return torch.nn.functional.normalize(drawn, dim=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_simcse_is_the_cross_entropy_of_cosines(dtype: torch.dtype) -> None:
    one, two = 3 * unit(5, 4, seed=1, dtype=dtype), 2 * unit(5, 4, seed=2, dtype=dtype)
    total = 0.0
    for i in range(5):
        cosines = [float(one[i] @ two[j] / one[i].norm() / two[j].norm()) / 0.07 for j in range(5)]
        total += math.log(sum(math.exp(c) for c in cosines)) - cosines[i]
    assert float(simcse_loss(one, two, 0.07)) == pytest.approx(total / 5, rel=1e-4)


@pytest.mark.parametrize("size", [2, 7, 64])
def test_simcse_is_nt_xent_of_pytorch_metric_learning(size: int) -> None:
    one = unit(size, 6, seed=1, dtype=torch.float64).requires_grad_()
    two = 2 * unit(size, 6, seed=2, dtype=torch.float64)
    rows = torch.arange(size)
    theirs = NTXentLoss(0.2)(one, rows, ref_emb=two, ref_labels=rows.clone())
    ours = simcse_loss(one, two, 0.2)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, one, retain_graph=True)[0] for loss in (ours, theirs)),
        rtol=1e-5, atol=1e-8,
    )  # fmt: skip


def test_simcse_holds_nothing_larger_than_the_cosines() -> None:
    class Sizes(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, function, types, arguments=(), kwargs=None):
            found = function(*arguments, **(kwargs or {}))
            for part in found if isinstance(found, tuple) else (found,):
                if isinstance(part, torch.Tensor):
                    self.largest = max(self.largest, part.numel())
            return found

    one, two = unit(300, 8, seed=1).requires_grad_(), unit(300, 8, seed=2)
    with Sizes() as sizes:
        simcse_loss(one, two, 0.2).backward()
    assert sizes.largest == 300 * 300


def test_simcse_gradient() -> None:
    one, two = unit(4, 3, seed=1, dtype=torch.float64), unit(4, 3, seed=2, dtype=torch.float64)
    one.requires_grad_()
    two.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: simcse_loss(a, b, 0.5), (one, two))


def test_alignment_and_uniformity_by_loops() -> None:
    one, two = unit(6, 4, seed=1), unit(6, 4, seed=2)
    pairs = [(i, j) for i in range(6) for j in range(i)]
    aligned = sum(float((one[i] - two[i]).square().sum()) for i in range(6)) / 6
    kernel = [math.exp(-2 * float((one[i] - one[j]).square().sum())) for i, j in pairs]
    assert float(alignment(one, two)) == pytest.approx(aligned, rel=1e-5)
    assert float(uniformity(one)) == pytest.approx(math.log(sum(kernel) / len(pairs)), rel=1e-5)
    cosine = sum(float(one[i] @ one[j]) for i, j in pairs) / len(pairs)
    assert mean_cosine(one.numpy()) == pytest.approx(cosine, abs=1e-6)


def test_a_collapse_shows() -> None:
    same = unit(1, 4).expand(20, 4)
    assert mean_cosine(same.numpy()) == pytest.approx(1, abs=1e-5)
    assert float(uniformity(same)) == pytest.approx(0, abs=1e-5)


def test_purity_by_loops() -> None:
    vectors, classes = unit(30, 5), torch.randint(3, (30,), generator=torch.manual_seed(0))
    classes[4] = -1
    known = [i for i in range(30) if classes[i] >= 0]
    hits = 0
    for i in known:
        near = sorted((j for j in known if j != i), key=lambda j: -float(vectors[i] @ vectors[j]))
        hits += sum(int(classes[j] == classes[i]) for j in near[:10])
    chance = sum(classes[i] == classes[j] for i in known for j in known if i != j)
    purity, by_chance = neighbour_purity(vectors, classes)
    assert purity == pytest.approx(hits / (10 * len(known)), abs=1e-6)
    assert by_chance == pytest.approx(float(chance) / (len(known) * (len(known) - 1)), abs=1e-6)


def test_purity_of_one_item_is_not_a_number() -> None:
    assert math.isnan(neighbour_purity(unit(1, 3), torch.tensor([0]))[0])


def softmax_by_loops(users, items, positives, candidates, expected) -> float:
    total = 0.0
    for b, positive in enumerate(positives.tolist()):
        scores = {
            c: float(users[b] @ items[c]) - math.log(float(expected[c]))
            for c, item in enumerate(candidates.tolist())
            if c == b or item != positive
        }
        total += math.log(sum(math.exp(s) for s in scores.values())) - scores[b]
    return total / len(positives)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sampled_softmax_by_loops(dtype: torch.dtype) -> None:
    table = unit(9, 4, seed=3, dtype=dtype)
    positives = torch.tensor([2, 5, 2])
    candidates = torch.tensor([2, 5, 2, 7, 5, 0])
    users, expected = unit(3, 4, seed=4, dtype=dtype), torch.rand(9, dtype=dtype) + 0.1
    got = sampled_softmax_loss(
        users, table[candidates], positives, candidates, expected[candidates]
    )
    want = softmax_by_loops(users, table[candidates], positives, candidates, expected[candidates])
    assert float(got) == pytest.approx(want, rel=1e-5)


def test_sampled_softmax_gradient() -> None:
    candidates = torch.tensor([1, 3, 0, 3])
    users = unit(2, 4, dtype=torch.float64).requires_grad_()
    items = unit(4, 4, seed=1, dtype=torch.float64).requires_grad_()
    expected = torch.full((4,), 0.5, dtype=torch.float64)

    def loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return sampled_softmax_loss(a, b, candidates[:2], candidates, expected)

    assert torch.autograd.gradcheck(loss, (users, items))


def test_logq_makes_the_sampled_loss_estimate_the_full_one() -> None:
    """With popular items over-drawn, only the corrected loss is near the softmax over all."""
    generator = torch.Generator().manual_seed(5)
    items, user, positive = unit(50, 6, seed=6) * 2, unit(1, 6, seed=7), torch.tensor([3])
    full = torch.nn.functional.cross_entropy(user @ items.T, positive)
    popularity = torch.softmax(2 * torch.randn(50, generator=generator), 0)
    corrected, plain = [], []
    for _ in range(300):
        drawn = torch.multinomial(popularity, 200, replacement=True, generator=generator)
        candidates = torch.cat([positive, drawn])
        expected = 200 * popularity[candidates] / 1.0
        expected[0] = 1.0
        args = (user, items[candidates], positive, candidates)
        corrected.append(sampled_softmax_loss(*args, expected))
        plain.append(sampled_softmax_loss(*args, torch.ones(201)))
    assert abs(torch.stack(corrected).mean() - full) < 0.15
    assert abs(torch.stack(plain).mean() - full) > 1
