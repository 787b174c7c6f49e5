"""Further fields of reviews: few, however many names there are."""

import json

import polars as pl
import pytest

from beauty_rec.events.extras import MAX_FIELDS, extra_columns


def columns(rows: list[dict[str, str]]) -> dict[str, list[str | None]]:
    extras = pl.Series([json.dumps(row) for row in rows], dtype=pl.String)
    return {name: found.to_list() for name, found in extra_columns(extras, lambda value: value)}


def test_names_that_are_values_are_not_all_read(caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"fit": "small", f"order {n}": "yes"} for n in range(3_000)]
    found = columns(rows)
    assert len(found) == MAX_FIELDS
    assert found["fit"] == ["small"] * len(rows)
    assert "over 200 further fields" in caplog.text
    # What comes later changes nothing.
    early = columns(rows[:300])
    assert early.keys() == found.keys()


def test_a_row_of_too_many_names_takes_no_place_from_others() -> None:
    odd = {f"n{number}": "x" for number in range(MAX_FIELDS + 1)}
    assert columns([odd, {"fit": "small"}]) == {"fit": [None, "small"]}
