"""DeepFM against deepctr-torch, against slow loops, and against itself in parts."""

import numpy as np
import pytest
import torch
from torch import Tensor

from beauty_rec.ranking.deepfm import Batch, DeepFM, Dropout, Fields
from beauty_rec.settings import RankingSettings
from beauty_rec_tests.ranking.deepctr import import_deepctr

ROWS, DENSE = 40, 5
FIELDS = Fields(user=(4, 1, 1), item=(1, 1, 6), dense=DENSE)
SETTINGS = RankingSettings(embedding_dim=3, hidden=(7, 5), dropout=0.0, embedding_std=0.5)


def some_batch(seed: int, queries: int = 3, items: int = 6, pairs: int = 11) -> Batch:
    """A batch with empty fields, the padding id 0 and the unknown id 1."""
    draw = np.random.default_rng(seed)

    def ids(count: int, widths: tuple[int, ...]) -> Tensor:
        parts = []
        for width in widths:
            part = draw.integers(1, ROWS, (count, width))
            part[np.arange(width) >= draw.integers(0, width + 1, (count, 1))] = 0
            parts.append(part)
        return torch.from_numpy(np.concatenate(parts, axis=1))

    return Batch(
        ids(queries, FIELDS.user),
        ids(items, FIELDS.item),
        torch.from_numpy(draw.integers(0, queries, pairs)),
        torch.from_numpy(draw.integers(0, items, pairs)),
        torch.from_numpy(draw.normal(size=(pairs, DENSE)).astype(np.float32)),
    )


def some_model(seed: int = 0, settings: RankingSettings = SETTINGS) -> DeepFM:
    torch.manual_seed(seed)
    model = DeepFM(ROWS, FIELDS, settings)
    with torch.no_grad():
        model.table[1:].normal_()
    return model.eval()


def first_layer(model: DeepFM) -> Tensor:
    """[H, fields * D + dense]: the network's first layer in the plain form."""
    parts = [model.deep_user.weight, model.deep_item.weight, model.deep_dense.weight]
    return torch.cat(parts, dim=1)


def slow_logit(model: DeepFM, batch: Batch, pair: int, pooling: str) -> float:
    """The paper's formulas with loops over fields, ids and pairs of fields."""
    table = model.table.detach().double().numpy()
    linear, vectors = 0.0, []
    sides = ((FIELDS.user, batch.user_ids[batch.user_row[pair]]),
             (FIELDS.item, batch.item_ids[batch.item_row[pair]]))  # fmt: skip
    for widths, ids in sides:
        start = 0
        for width in widths:
            own = [int(i) for i in ids[start : start + width] if i != 0]
            start += width
            share = 1 / len(own) if own and pooling == "mean" else 1.0
            linear += sum(table[i, 0] * share for i in own)
            vectors.append(sum((table[i, 1:] * share for i in own), np.zeros(model.dim)))
    binned = []
    if model.bins is not None and batch.bins is not None:
        rows = model.bins.detach().double().numpy()[batch.bins[pair].numpy()]
        linear += float(rows[:, 0].sum())
        binned = list(rows[:, 1:])
    fm, all_fields = 0.0, [*vectors, *binned]
    for f in range(len(all_fields)):
        for g in range(f + 1, len(all_fields)):
            fm += float(np.dot(all_fields[f], all_fields[g]))
    dense = batch.dense[pair].double().numpy()
    hidden = np.concatenate([*vectors, dense])
    layers = [(first_layer(model), model.deep_dense.bias)]
    layers += [(m.weight, m.bias) for m in model.deep if isinstance(m, torch.nn.Linear)]
    for place, (weight, bias) in enumerate(layers):
        hidden = weight.detach().double().numpy() @ hidden
        if bias is not None:
            hidden = hidden + bias.detach().double().numpy()
        if place < len(layers) - 1:
            hidden = np.maximum(hidden, 0)
    linear += float(model.linear.weight.detach().double().numpy()[0] @ dense)
    return linear + model.linear.bias.item() + fm + float(hidden[0])


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_equals_the_papers_formulas_in_loops(pooling: str) -> None:
    model = some_model(1, SETTINGS.model_copy(update={"pooling": pooling}))
    batch = some_batch(2)
    slow = [slow_logit(model, batch, pair, pooling) for pair in range(len(batch.dense))]
    np.testing.assert_allclose(model(batch).detach().numpy(), slow, rtol=2e-5, atol=2e-5)


def test_the_factorization_machine_sees_dense_values_by_their_bins() -> None:
    torch.manual_seed(3)
    model = DeepFM(ROWS, FIELDS._replace(bins=4 * DENSE), SETTINGS).eval()
    assert model.bins is not None
    with torch.no_grad():
        model.table[1:].normal_()
        model.bins.normal_()
    draw = np.random.default_rng(7)
    batch = some_batch(2)
    own = draw.integers(0, 4, (len(batch.dense), DENSE)) + 4 * np.arange(DENSE)
    batch = batch._replace(bins=torch.from_numpy(own))
    slow = [slow_logit(model, batch, pair, "mean") for pair in range(len(own))]
    np.testing.assert_allclose(model(batch).detach().numpy(), slow, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_equals_deepctr_torch_for_the_same_weights(pooling: str) -> None:
    import_deepctr()
    from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat
    from deepctr_torch.models import DeepFM as Reference

    widths = (*FIELDS.user, *FIELDS.item)
    shared = [
        VarLenSparseFeat(
            SparseFeat(f"f{i}", ROWS, SETTINGS.embedding_dim, embedding_name="ids"), width, pooling
        )
        for i, width in enumerate(widths)
    ]
    columns = [*shared, DenseFeat("dense", DENSE)]
    reference = Reference(columns, columns, dnn_hidden_units=SETTINGS.hidden)
    model = some_model(3, SETTINGS.model_copy(update={"pooling": pooling}))
    with torch.no_grad():
        reference.embedding_dict["ids"].weight.copy_(model.table[:, 1:])
        reference.linear_model.embedding_dict["ids"].weight.copy_(model.table[:, :1])
        reference.linear_model.weight.copy_(model.linear.weight.T)
        reference.out.bias.copy_(model.linear.bias)
        reference.dnn.linears[0].weight.copy_(first_layer(model))
        reference.dnn.linears[0].bias.copy_(model.deep_dense.bias)
        second, last = (m for m in model.deep if isinstance(m, torch.nn.Linear))
        reference.dnn.linears[1].weight.copy_(second.weight)
        reference.dnn.linears[1].bias.copy_(second.bias)
        reference.dnn_linear.weight.copy_(last.weight)
    batch = some_batch(4, pairs=64)
    plain = torch.cat(
        [batch.user_ids[batch.user_row], batch.item_ids[batch.item_row], batch.dense], dim=1
    )
    expected = reference.eval()(plain.float()).squeeze(1)
    torch.testing.assert_close(torch.sigmoid(model(batch)), expected, rtol=1e-5, atol=1e-6)


def test_gradients() -> None:
    model = some_model(5).double()
    batch = some_batch(6)

    def logits(table: Tensor, dense: Tensor) -> Tensor:
        moved = batch._replace(dense=dense)
        return torch.func.functional_call(model, {"table": table}, (moved,))

    # Softened, so that a numeric step does not cross a kink of the ReLU.
    for module in list(model.deep):
        if isinstance(module, torch.nn.ReLU):
            model.deep[list(model.deep).index(module)] = torch.nn.Softplus()
    table = model.table.detach().clone()
    rows = table[1:].requires_grad_()
    dense = batch.dense.double().requires_grad_()
    padding = torch.zeros(1, table.shape[1], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda t, d: logits(torch.cat([padding, t]), d), (rows, dense))


def test_padding_learns_nothing() -> None:
    model = some_model(7)
    model(some_batch(8)).sum().backward()
    assert model.table.grad is not None
    assert not model.table.grad[0].any()
    assert model.table.grad[1:].any()


def test_an_item_without_ids_still_gets_a_logit() -> None:
    model, batch = some_model(9), some_batch(10)
    empty = batch._replace(item_ids=torch.zeros_like(batch.item_ids))
    assert torch.isfinite(model(empty)).all()


def test_what_is_transferred_comes_by_one_projection_at_the_scale_of_the_settings() -> None:
    model = some_model()
    before, tower = model.table.detach().clone(), 7 * torch.randn(ROWS - 1, 12)
    tower[5] = 0.0
    model.transfer(tower, scale=0.1)
    assert model.source is not None
    assert model.project is not None
    projection = model.project.detach().clone()
    model.fold()
    known = [v for v in range(1, ROWS - 1) if v != 5]
    size = tower[[v for v in range(ROWS - 1) if v != 5]].square().mean().sqrt()
    for v in known:
        torch.testing.assert_close(model.table[v, 1:], tower[v] / size @ projection)
        torch.testing.assert_close(model.table[v, 0], before[v, 0])
    assert float(model.table.detach()[known, 1:].std()) == pytest.approx(0.1, rel=0.1)
    assert not model.table[0].any()
    for v in (5, ROWS - 1):
        torch.testing.assert_close(model.table[v], before[v])


@pytest.mark.parametrize("width", [2, 3, 8])
def test_wide_rows_keep_their_main_directions_and_narrow_ones_all(width: int) -> None:
    model = some_model()
    hidden = torch.randn(ROWS, min(width, 3))
    hidden[0] = 0.0
    rows = hidden @ torch.linalg.qr(torch.randn(width, min(width, 3))).Q.T
    model.transfer(rows, scale=1.0)
    model.fold()
    kept = model.table[1:, 1:].detach()
    inner, known = kept @ kept.T, hidden[1:] @ hidden[1:].T
    torch.testing.assert_close(inner / inner[0, 0], known / known[0, 0], rtol=1e-3, atol=1e-3)


def test_a_folded_model_answers_alike_and_is_saved_like_any_other() -> None:
    model, batch = some_model(), some_batch(1)
    names = set(model.state_dict())
    model.transfer(torch.randn(ROWS, 8), scale=0.5)
    assert set(model.state_dict()) == names | {"source", "project"}
    model.table.requires_grad_()
    logits = model(batch)
    logits.sum().backward()
    for part in (model.table, model.source, model.project):
        assert part is not None
        assert part.grad is not None
        assert part.grad.any()
    model.fold()
    torch.testing.assert_close(model(batch), logits)
    assert set(model.state_dict()) == names


def test_a_tower_that_knows_nothing_transfers_nothing() -> None:
    model, batch = some_model(), some_batch(1)
    before = model(batch)
    model.transfer(torch.zeros(ROWS, 8), scale=0.5)
    assert model.source is None
    assert torch.equal(model(batch), before)


def test_transfer_of_too_many_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="41 embeddings for a table of 40"):
        some_model().transfer(torch.zeros(ROWS + 1, 3), 0.1)


def test_dropout_draws_what_torch_draws_on_a_cpu() -> None:
    values = torch.randn(64, 32)
    torch.manual_seed(3)
    usual = torch.nn.Dropout(0.2)(values)
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.2)(values), usual)
    assert Dropout(0.2).eval()(values) is values


def test_nothing_of_a_batch_or_of_the_model_stays_on_another_device() -> None:
    """On a device without numbers, where an operation with a tensor of the CPU is an error."""
    settings = SETTINGS.model_copy(update={"dropout": 0.5})
    model = DeepFM(ROWS, FIELDS._replace(bins=4 * DENSE), settings)
    model.transfer(torch.randn(ROWS, 6), scale=0.1)
    batch = some_batch(2)
    bins = torch.zeros(batch.dense.shape, dtype=torch.int64)
    model.to("meta")
    model(batch._replace(bins=bins).to(torch.device("meta"))).sum().backward()
    assert {p.grad.device.type for p in model.parameters() if p.grad is not None} == {"meta"}
    assert all(p.grad is not None for p in model.parameters())
