"""Checkpoints: whole or not there, of one training's data and settings alone."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from beauty_rec.training.checkpoints import (
    fingerprint_of,
    load_checkpoint,
    save_checkpoint,
    weights_of,
)

Pair = tuple[nn.Module, torch.optim.Optimizer]


def fresh(seed: int = 0) -> Pair:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    return model, torch.optim.AdamW(model.parameters(), lr=0.05)


def train(pair: Pair, steps: range) -> None:
    model, optimizer = pair
    for step in steps:
        rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        loss = (model(rows) - rows.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_resumed_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, part, resumed = fresh(), fresh(), fresh(seed=9)
    train(whole, range(6))
    train(part, range(3))
    save_checkpoint(tmp_path, 3, *part, "mine", {"losses": [1.5]})
    kept = load_checkpoint(tmp_path, *resumed, "mine")
    assert kept is not None
    assert (kept.state, kept.best) == ({"losses": [1.5]}, None)
    train(resumed, range(3, 6))
    assert same(resumed[0], whole[0])


def test_the_best_weights_are_written_once(tmp_path: Path) -> None:
    part = fresh()
    best = weights_of(part[0])
    files = []
    for step in range(1, 5):
        train(part, range(step, step + 1))
        if step == 4:
            best = weights_of(part[0])
        save_checkpoint(tmp_path, step, *part, "mine", {}, best)
        files.append((tmp_path / f"step-{step:08d}/best.safetensors").stat().st_ino)
        kept = load_checkpoint(tmp_path, *fresh(), "mine")
        assert kept is not None
        assert kept.best is not None
        assert all(torch.equal(kept.best[name], own) for name, own in best.items())
    assert len({*files[:3]}) == 1
    assert files[3] != files[0]


def test_a_checkpoint_of_other_data_or_settings_changes_nothing(tmp_path: Path) -> None:
    part, other = fresh(), fresh(seed=9)
    save_checkpoint(tmp_path, 1, *part, "mine", {})
    before = weights_of(other[0])
    assert load_checkpoint(tmp_path, *other, "theirs") is None
    assert load_checkpoint(tmp_path / "none", *other, "mine") is None
    assert all(torch.equal(before[name], value) for name, value in other[0].state_dict().items())


def test_only_the_last_one_is_kept_with_the_best_weights(tmp_path: Path) -> None:
    pair = fresh()
    best = weights_of(pair[0])
    for step in (9, 10):
        train(pair, range(step))
        save_checkpoint(tmp_path, step, *pair, "mine", {"step": step}, best)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]
    kept = load_checkpoint(tmp_path, *fresh(), "mine")
    assert kept is not None
    assert kept.best is not None
    assert all(torch.equal(kept.best[name], value) for name, value in best.items())
    assert not torch.equal(best["0.weight"], pair[0].state_dict()["0.weight"])


def test_a_kill_while_writing_leaves_the_last_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = fresh()
    save_checkpoint(tmp_path, 1, *pair, "mine", {"step": 1})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("beauty_rec.training.checkpoints.write_text_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, 2, *pair, "mine", {"step": 2})
    draft = tmp_path / f".step-00000002.{os.getpid()}.draft"  # as SIGKILL would leave it
    draft.mkdir()
    kept = load_checkpoint(tmp_path, *fresh(), "mine")
    assert kept is not None
    assert kept.state == {"step": 1}


def test_a_fingerprint_tells_settings_types_shapes_and_values_apart() -> None:
    data = np.arange(6, dtype=np.int64)
    mine = fingerprint_of({"a": 1, "b": [2.5, None]}, data)
    assert mine == fingerprint_of({"b": [2.5, None], "a": 1}, data.copy())
    others = [
        fingerprint_of({"a": 2, "b": [2.5, None]}, data),
        fingerprint_of({"a": 1, "b": [2.5, None]}, data[::-1]),
        fingerprint_of({"a": 1, "b": [2.5, None]}, data.reshape(2, 3)),
        fingerprint_of({"a": 1, "b": [2.5, None]}, data.astype(np.int32)),
        fingerprint_of({"a": 1, "b": [2.5, None]}, data, np.zeros((0, 4), np.float32)),
    ]
    assert len({mine, *others}) == 6
