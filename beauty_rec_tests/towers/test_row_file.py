from pathlib import Path

import numpy as np
import pytest

from beauty_rec.towers import row_file
from beauty_rec.towers.row_file import RowFile


@pytest.mark.parametrize("long", [1, 4_096])
def test_rows_come_back_as_they_were_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: int
) -> None:
    monkeypatch.setattr(row_file, "LONG_ROW_BYTES", long)
    monkeypatch.setattr(row_file, "MAPPED_BYTES", 64)  # pages are let go of all the time
    given = np.random.default_rng(0).normal(size=(50, 3, 4)).astype(np.float16)
    kept = RowFile(given.shape, np.float16, tmp_path)
    for rows in np.array_split(np.random.default_rng(1).permutation(50), 7):
        kept.put(rows, given[rows])
    drawn = np.array([7, 0, 49, 7])
    np.testing.assert_array_equal(kept.take(drawn), given[drawn])
    kept.put(np.array([3]), np.ones((1, 2, 4)))  # the first lines of a row
    np.testing.assert_array_equal(kept.take(np.array([3]))[0, 2], given[3, 2])
    assert not list(tmp_path.iterdir())  # nothing to be cleared up, however a process ends


def test_no_rows_are_no_error() -> None:
    assert RowFile((0, 4), np.float32).take(np.array([], np.int64)).shape == (0, 4)
