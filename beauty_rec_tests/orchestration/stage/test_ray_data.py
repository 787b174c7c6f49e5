"""What is spread over Ray comes back as it was handed out; without Ray nothing is."""

from collections.abc import Callable

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from beauty_rec.orchestration.stage.ray_data import regrouped, spread
from beauty_rec.settings import Settings


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(1, 7))
def test_rows_come_back_in_the_frames_that_they_were_in(heights: list[int], size: int) -> None:
    rows = pl.DataFrame({"n": range(sum(heights))}, schema={"n": pl.Int64})
    found = list(regrouped(rows.iter_slices(size), heights, rows.clear))
    assert [frame.height for frame in found] == heights
    assert pl.concat([rows.clear(), *found]).equals(rows)


def shifted(by: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda frame: frame + by


def test_another_executor_works_in_the_step_itself() -> None:
    frames = (pl.DataFrame({"n": [n]}) for n in range(3))
    assert [f["n"].to_list() for f in spread(Settings(), frames, shifted, 5)] == [[5], [6], [7]]
