"""One typing error among thousands of numbers must not set their scale."""

import numpy as np
import pytest

from beauty_rec.measures.outliers import believable


def test_clean_numbers_are_all_believed() -> None:
    values = np.random.default_rng(0).normal(170, 9, 100_000).astype(np.float32)
    low, high = believable(values)
    assert np.clip(values, low, high).tobytes() == values.tobytes()
    assert low == pytest.approx(80, abs=1)
    assert high == pytest.approx(260, abs=1)


@pytest.mark.parametrize("error", [17_000.0, 8_801_234_567_890.0, -1e30, np.inf])
def test_a_typing_error_moves_no_limit(error: float) -> None:
    values = np.random.default_rng(0).normal(170, 9, 1_000)
    clean = believable(values)
    assert believable(np.append(values, error)) == pytest.approx(clean, rel=0.01)


@pytest.mark.parametrize(
    "values", [[], [3.0], [0.0] * 90 + [1.0] * 10, [7] * 5], ids=["none", "one", "few", "whole"]
)
def test_where_most_are_equal_there_is_no_limit(values: list[float]) -> None:
    assert believable(np.array(values)) == (-np.inf, np.inf)
