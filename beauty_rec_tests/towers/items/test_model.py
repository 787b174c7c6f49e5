import pytest
import torch

from beauty_rec.settings import ItemTowerSettings
from beauty_rec.towers.items.features import MASK, PAD
from beauty_rec.towers.items.model import ItemTower

SETTINGS = ItemTowerSettings(dimension=8, embedding=8, heads=2, dropout=0)
NO_TITLE = (torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.bool))


@pytest.fixture
def tower() -> ItemTower:
    torch.manual_seed(0)
    return ItemTower(20, 2, 4, SETTINGS).eval()


def inputs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    std = torch.tensor([[3, 4], [5, 0], [3, 4]])
    re = torch.tensor([[7, 8, 9], [7, 0, 0], [0, 0, 0]])
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    return std, re, torch.randn(3, 2, 4, generator=generator), mask


def reference(tower: ItemTower, std, re, title, mask) -> torch.Tensor:
    """One item, one query, one head, one key at a time."""
    rows, attention = [], tower.attention
    wq, wk, wv = attention.in_proj_weight.split(8)
    bq, bk, bv = attention.in_proj_bias.split(8)
    for b in range(len(std)):
        keys = [tower.embedding.weight[i] + tower.kind[0] for i in re[b] if i != PAD]
        keys += [
            tower.title(s) + tower.kind[1] for s, m in zip(title[b], mask[b], strict=True) if m
        ]
        fields = []
        for s, value in enumerate(std[b]):
            q = tower.embedding.weight[value] + tower.field[s]
            answer = torch.zeros(8)
            if keys:
                heads = []
                for h in range(2):
                    part = slice(4 * h, 4 * h + 4)
                    scores = [(wq @ q + bq)[part] @ (wk @ k + bk)[part] / 2 for k in keys]
                    weights = torch.softmax(torch.stack(scores), 0)
                    heads.append(
                        sum(w * (wv @ k + bv)[part] for w, k in zip(weights, keys, strict=True))
                    )
                answer = attention.out_proj(torch.cat(heads))
                answer = torch.sigmoid(tower.gate(torch.cat([q, answer]))) * answer
            mixed = tower.norm(q + answer)
            fields.append(torch.nn.functional.gelu(tower.out_norm(mixed + tower.mix(mixed))))
        rows.append(tower.out(torch.cat(fields)))
    return torch.stack(rows)


def test_forward_by_loops(tower: ItemTower) -> None:
    torch.testing.assert_close(tower(*inputs()), reference(tower, *inputs()), rtol=1e-4, atol=1e-5)


def test_the_gate_is_closed_without_re_and_title(tower: ItemTower) -> None:
    std = torch.tensor([[3, 4]])
    before = tower(std, torch.tensor([[PAD, PAD]]), *NO_TITLE)
    with torch.no_grad():
        for parameter in tower.attention.parameters():
            parameter.add_(1)
    assert torch.equal(before, tower(std, torch.zeros(1, 5, dtype=torch.long), *NO_TITLE))
    beside = tower(*inputs())[2]  # the same item in a batch with others
    torch.testing.assert_close(beside, before[0])


def test_an_item_of_which_nothing_is_known_is_finite(tower: ItemTower) -> None:
    empty = torch.zeros(1, 2, dtype=torch.long)
    assert torch.isfinite(tower(empty, empty, *NO_TITLE)).all()


def test_padding_and_order_of_re_do_not_matter(tower: ItemTower) -> None:
    std, re, title, mask = inputs()
    wider = torch.cat([re.flip(1), torch.zeros(3, 4, dtype=torch.long)], dim=1)
    noise = torch.where(mask[..., None], title, 99.0)
    torch.testing.assert_close(tower(std, wider, noise, mask), tower(std, re, title, mask))


def test_gradients_reach_every_part_and_are_finite(tower: ItemTower) -> None:
    tower.train()
    tower.projection(tower(*inputs())).square().sum().backward()
    for name, parameter in tower.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert tower.embedding.weight.grad is not None
    assert not tower.embedding.weight.grad[PAD].any()


def test_gradient_by_differences() -> None:
    torch.manual_seed(0)
    tower = ItemTower(20, 2, 4, SETTINGS).double()
    std, re, title, mask = inputs()
    title = title.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: tower(std, re, t, mask), (title,))


def test_one_view_hides_the_share_of_the_settings_and_the_other_the_rest() -> None:
    torch.manual_seed(0)
    settings = SETTINGS.model_copy(update={"feature_dropout": 0.25, "token_masking": 0.5})
    std = torch.full((400, 10), 5)
    std[:, 0] = PAD
    tokens = torch.ones(400, 10, dtype=torch.bool)
    seen = ItemTower(20, 10, 4, settings).views(std, std, torch.zeros(400, 10, 4), tokens)
    assert [len(part) for part in seen] == [800] * 4
    (one_std, two_std), (one_re, two_re) = seen[0].chunk(2), seen[1].chunk(2)
    assert float((one_std == MASK).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(one_std == MASK, two_std != MASK), "of a missing value, too"
    shown = std != PAD
    assert torch.equal((one_re == PAD)[shown], (two_re != PAD)[shown])
    assert float((one_re == PAD)[shown].float().mean()) == pytest.approx(0.25, abs=0.03)
    one, two = seen[3].chunk(2)
    assert not (one.any(dim=1) & two.any(dim=1)).any(), "a title is in one of them"
    assert float((one | two).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_a_view_that_would_show_nothing_shows_all() -> None:
    std, re = torch.tensor([[5, PAD]] * 50), torch.zeros(50, 2, dtype=torch.long)
    none = (torch.zeros(50, 0, 4), torch.zeros(50, 0, dtype=torch.bool))
    seen = ItemTower(20, 2, 4, SETTINGS).views(std, re, *none)[0]
    assert (seen[:, 0] == 5).all()
    nothing = ItemTower(20, 2, 4, SETTINGS).views(re, re, *none)[0]
    assert (nothing == PAD).all()
