"""What `benchmarks/gpu.py` makes of few texts and items, and where there is no GPU."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from beauty_rec.towers.items.features import ItemFeatures
from beauty_rec.towers.items.inputs import ItemInputs
from benchmarks import gpu as benchmark


def test_without_a_gpu_one_line_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu.py"])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == benchmark.SKIPPED
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert "torch" in line
    assert "--device cpu" in line


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA L40", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("Some Other Card", None),
    ],
)
def test_the_peak_is_that_of_the_card(card: str, peak: int | None) -> None:
    assert benchmark.peak_of(card) == peak


@pytest.mark.parametrize(("steps", "seconds"), [(20, 60), (1_000_000, 0.05)])
def test_a_training_is_ended_from_outside(steps: int, seconds: float) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight], fused=True)
    taken = 0

    def train() -> None:
        nonlocal taken
        while True:
            optimizer.zero_grad()
            weight.sum().backward()
            taken += 1
            optimizer.step()

    rate, timed = benchmark.rate_of(train, steps, seconds)
    assert rate > 0
    assert timed == taken - 1 - benchmark.WARM_UP
    assert steps > 20 or taken == steps + 1
    optimizer.step()  # nothing looks at it any more


def test_copies_of_pairs_are_pairs_of_other_items() -> None:
    names = ("query", "positive", "parent_asin", "review_id")
    pairs = pl.DataFrame({name: [f"{name} {row}" for row in range(3)] for name in names})
    found = benchmark.many_pairs(pairs, 8)
    assert found.height == 8
    assert found.columns == list(names)
    assert all(found[name].n_unique() == 8 for name in names)


def test_drawn_items_are_all_distinct() -> None:
    known = ItemFeatures(
        ["a", "b"], np.array([[3], [4]]), np.array([[5, 0], [6, 7]]), np.array([0, -1]), ["Soap"]
    )
    inputs = benchmark.many_items(ItemInputs(known, 8, np.array([3, 4]), 0), 50)
    features = inputs.features
    assert len(features) == len(features.distinct()) == len(set(features.ids)) == 50
    np.testing.assert_array_equal(inputs.classes, features.std[:, 0])
    assert replace(inputs, features=known).class_field == 0
