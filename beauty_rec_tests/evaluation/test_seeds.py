"""What `benchmarks/seeds.py` makes of the figures of seeds, and which it measures anew."""

import json
from pathlib import Path

import pytest

from benchmarks import seeds as benchmark


def figures(seed: int, recall: float, order: str = "reranked") -> benchmark.Figures:
    found = {
        f"{split} without_text {block}": [recall, recall / 10]
        for split in benchmark.HELD_OUT
        for block in ("user_tower", "served")
    }
    return {"seed": seed, "served": {"nothing": order}, **found}


def test_the_table_has_the_median_and_the_spread_of_each_block() -> None:
    measured = [figures(1, 0.3), figures(2, 0.1, "user_tower"), figures(3, 0.2)]
    page = benchmark.table(measured)
    cells = "0.2000 (0.1000 to 0.3000) | 0.0200 (0.0100 to 0.0300)"
    assert f"| user_tower | {cells} | {cells} |" in page
    assert "| hybrid |" not in page, "nothing was asked in words"
    assert "of 3 seeds are served: reranked by 2, user_tower by 1." in page


def test_a_seed_that_was_measured_before_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[int] = []

    class Shop:
        def figures(self, seed: int, folder: Path) -> benchmark.Figures:
            assert folder.is_dir(), "where a killed training goes on"
            trained.append(seed)
            return figures(seed, 0.2)

    monkeypatch.setattr(benchmark.Shop, "of", lambda data: Shop())
    (tmp_path / "seed-13.json").write_text(json.dumps(figures(13, 0.4)), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["seeds.py", "--seeds", "2", "--kept", str(tmp_path)])
    benchmark.main()
    assert trained == [14]
    assert "0.3000 (0.2000 to 0.4000)" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed-13.json", "seed-14.json"]
