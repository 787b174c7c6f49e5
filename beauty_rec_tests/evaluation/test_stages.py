"""What `benchmarks/stages.py` makes of the figures of stages."""

import pytest

from benchmarks.stages import Figure, exponent, markdown, plot


def figures(stage: str, *seconds: float) -> list[Figure]:
    sizes = [10**place for place in range(3, 3 + len(seconds))]
    return [
        Figure(stage, n, n // 5, found, 200.0, n, "")
        for n, found in zip(sizes, seconds, strict=True)
    ]


def test_the_exponent_is_the_slope_of_the_sizes_that_took_long_enough() -> None:
    assert exponent(figures("linear", 1, 10, 100)) == pytest.approx(1)
    assert exponent(figures("square", 1, 100, 10_000)) == pytest.approx(2)
    assert exponent(figures("start-up", 0.2, 1, 10)) == pytest.approx(1)
    assert exponent(figures("one size", 9)) is None


def test_the_table_has_a_row_a_stage_and_a_gap_where_nothing_was_measured() -> None:
    page = markdown([*figures("keywords", 2, 20, 200), *figures("item_tower", 30)])
    assert "| keywords | 2.0 | 200 | 20.0 | 200 | 200.0 | 200 | 1.00 | 1.00 |" in page
    assert "| item_tower | 30.0 | 200 |  |  |  |  |  |  |" in page
    assert plot(figures("keywords", 2, 20)).startswith(b"\x89PNG")
