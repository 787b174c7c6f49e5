"""What `benchmarks/nightly.py` makes of what two runs say."""

import json

import pytest

from benchmarks.nightly import Run, dated, read, tables

SAID = """\
built   raw_reviews                             1.5 s  reviews_file changed
fresh   text_retriever                          0.1 s  kept as it was trained, though it changed
built   keywords[train]                         2.0 s
2 built, 1 fresh, 0 failed in 4.2 s
"""


def test_a_runs_lines_are_read() -> None:
    statuses, seconds, whole = read(SAID)
    assert statuses == {
        "raw_reviews": "built", "text_retriever": "fresh", "keywords[train]": "built"
    }  # fmt: skip
    assert seconds == {"raw_reviews": 1.5, "text_retriever": 0.1, "keywords[train]": 2.0}
    assert whole == 4.2


def test_the_night_is_held_against_the_full_build_without_trainings() -> None:
    full = Run(
        {"raw_reviews": 10.0, "text_retriever": 900.0, "item_embeddings": 85.0, "text_index": 5.0},
        {"keywords[train]": 900, "item_embeddings": 400},
        1_000.0,
    )
    night = Run(
        {"raw_reviews": 1.0, "text_retriever": 0.1, "item_embeddings": 2.0, "text_index": 5.0},
        {"keywords[train]": 9, "item_embeddings": 8},
        9.0,
    )
    lines = list(tables(full, night))
    assert "| reviews read | 900 | 9 | 1.0% |" in lines
    assert "| texts embedded | 400 | 8 | 2.0% |" in lines
    steps = [line for line in lines if line.count("|") == 6 and "%" in line]
    assert steps == [
        "| text_index | 5.0 | 5.0 | 100% | 5.00% |",
        "| item_embeddings | 85.0 | 2.0 | 2% | 2.00% |",
        "| raw_reviews | 10.0 | 1.0 | 10% | 1.00% |",
        "| **all** | 100.0 | 8.0 | | **8.0%** |",
    ]
    assert "8.0% of the full build's seconds (aim: at most 5%, missed)" in lines[-1]


@pytest.mark.parametrize("bad", [b"{broken", b'{"text": "no time"}', b'{"timestamp": "today"}'])
def test_reviews_stand_in_the_order_of_their_time(bad: bytes) -> None:
    rows = [json.dumps({"timestamp": at}).encode() for at in (3, 1, 2)]
    assert dated([*rows, bad]) == [rows[1], rows[2], rows[0]]
