"""Where a training computes, and in what: towers in float32 on a CPU and in bfloat16 on a GPU that
has it, the reranker in float32 on both.

The other device is a GPU where there is one. Everywhere it is also a CPU that rounds otherwise,
which is what a GPU does, and a stand-in that refuses what a GPU refuses.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from beauty_rec.ranking import train as reranker_recipe
from beauty_rec.ranking.train import Trained, train_reranker
from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.items import train as item_recipe
from beauty_rec.towers.items.features import ItemFeatures
from beauty_rec.towers.items.train import train_item_tower
from beauty_rec.towers.precision import autocast
from beauty_rec.towers.users.train import recipe as user_recipe
from beauty_rec.towers.users.train.data import UserTowerData
from beauty_rec.towers.users.train.recipe import train_user_tower
from beauty_rec_tests.ranking import small_shop as shop
from beauty_rec_tests.ranking.test_train import examples
from beauty_rec_tests.towers.items.test_train import SETTINGS, features, known, reader
from beauty_rec_tests.training.stand_in_gpu import stand_in_gpu

__all__ = ["features"]

ROUNDING, STAND_IN = "a CPU that rounds otherwise", "a stand-in for a GPU"
ELSEWHERE = [ROUNDING, STAND_IN, *(["cuda"] if torch.cuda.is_available() else [])]

Train = Callable[[Path, str], dict]

LOSSES = {
    item_recipe: "simcse_loss",
    user_recipe: "sampled_softmax_loss",
    reranker_recipe: "binary_cross_entropy_with_logits",
}


@pytest.fixture(params=["items", "users", "reranker"])
def training(
    request: pytest.FixtureRequest,
    features: ItemFeatures,
    data: UserTowerData,
    small: UserTowerSettings,
) -> tuple[ModuleType, Train]:
    """A recipe, and a training by it into a folder, on a device."""
    if request.param == "users":
        users = small.model_copy(update={"dropout": 0, "epochs": 3, "learning_rate": 1e-3})
        train_only = replace(data, valid=data.valid[:0])  # every epoch counts
        return user_recipe, lambda folder, device: train_user_tower(
            train_only, users, folder, device=device, precision="float32"
        )
    if request.param == "reranker":
        return reranker_recipe, reranking
    # A tower's dropout is drawn on the device; everything else is drawn on the CPU.
    items = SETTINGS.model_copy(update={"dropout": 0, "min_steps": 60})
    return item_recipe, lambda folder, device: train_item_tower(
        known(features), reader(features), items, folder, device=device, precision="float32"
    )


def reranking(folder: Path, device: str) -> dict:
    """Train with dropout, whose draws are the CPU's, and with what a tower knows of the ids."""
    spec, words = shop.builder().spec, len(shop.vocabulary())
    known = np.random.default_rng(0).normal(size=(words, 4)).astype(np.float32)
    trained = train_reranker(
        *(examples(1, spec), examples(2, spec), spec, words, shop.SETTINGS, known),
        device=device,
    )
    trained.reranker.save(folder)
    return {"epochs": [{"loss": epoch["train_log_loss"]} for epoch in trained.history]}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
def test_on_a_cpu_nothing_is_reduced(precision: str) -> None:
    with autocast(torch.device("cpu"), precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize("device", ELSEWHERE)
def test_a_seed_gives_the_same_weights_elsewhere(
    training: tuple[ModuleType, Train], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    recipe, train = training
    train(tmp_path / "here", "cpu")
    if device == ROUNDING:
        name = LOSSES[recipe]
        exact, noise = getattr(recipe, name), torch.Generator().manual_seed(0)

        def rounded(one: torch.Tensor, two: torch.Tensor, *others: object) -> torch.Tensor:
            error = torch.randn(one.shape, generator=noise) * torch.finfo(one.dtype).eps
            return exact(one * (1 + error), two, *others)

        monkeypatch.setattr(recipe, name, rounded)
        train(tmp_path / "there", "cpu")
    elif device == STAND_IN:
        with stand_in_gpu():
            train(tmp_path / "there", "cuda:0")
    else:
        train(tmp_path / "there", device)
    here, there = weights(tmp_path / "here"), weights(tmp_path / "there")
    same = all(torch.equal(here[name], there[name]) for name in here)
    assert not same or device == STAND_IN  # which rounds as the CPU does
    for name, own in here.items():
        assert torch.allclose(there[name], own, atol=1e-3, rtol=1e-3), name


@pytest.mark.parametrize("training", ["items", "users"], indirect=True)
def test_in_bfloat16_the_towers_learn_what_they_learn_in_float32(
    training: tuple[ModuleType, Train], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The passes of a GPU, on a CPU that computes bfloat16 as a GPU does."""
    recipe, train = training
    plain = train(tmp_path / "float32", "cpu")
    asked = []

    def reduced(device: torch.device, precision: str) -> torch.autocast:
        asked.append(precision)
        return torch.autocast(device.type, torch.bfloat16)

    monkeypatch.setattr(recipe, "autocast", reduced)
    mixed = train(tmp_path / "bfloat16", "cpu")
    assert set(asked) == {"float32"}
    here, there = weights(tmp_path / "float32"), weights(tmp_path / "bfloat16")
    assert {w.dtype for w in there.values()} == {torch.float32}
    one, two = (torch.cat([w.flatten() for w in ws.values()]) for ws in (here, there))
    assert 0 < float((one - two).norm() / one.norm()) < 0.05
    losses = [[epoch["loss"] for epoch in log["epochs"]] for log in (plain, mixed)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_reranker_of_a_gpu_goes_on_there_and_is_served_on_the_cpu(tmp_path: Path) -> None:
    spec, words = shop.builder().spec, len(shop.vocabulary())
    data = examples(1, spec), examples(2, spec), spec, words

    def train(checkpoints: Path, epochs: int) -> Trained:
        settings = shop.SETTINGS.model_copy(update={"epochs": epochs})
        return train_reranker(*data, settings, None, checkpoints, "cuda")

    train(tmp_path / "parts", 2)
    resumed, whole = train(tmp_path / "parts", 4), train(tmp_path / "whole", 4)
    for one, other in zip(
        resumed.reranker.model.parameters(), whole.reranker.model.parameters(), strict=True
    ):
        assert one.device.type == "cpu"
        assert torch.allclose(one, other, atol=1e-3, rtol=1e-3)
    assert np.isfinite(resumed.reranker.probabilities(data[1].features)).all()
