"""Batches without duplicates."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.retriever.batches import no_duplicate_batches

KEYS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("123456")), max_size=40)


@given(KEYS, st.integers(2, 8), st.integers(0, 3))
@settings(max_examples=100)
def test_batches_share_no_key_and_use_a_row_at_most_once(
    keys: list[tuple[str, str]], size: int, epoch: int
) -> None:
    batches = no_duplicate_batches(keys, size, 7, epoch)
    for batch in batches:
        assert 2 <= len(batch) <= size
        seen = Counter(key for row in batch for key in keys[row])
        assert max(seen.values()) == 1
    rows = [row for batch in batches for row in batch]
    assert len(rows) == len(set(rows))


def test_distinct_rows_are_all_used_and_epochs_differ() -> None:
    keys = [(f"k{i}",) for i in range(32)]
    first, second = (no_duplicate_batches(keys, 8, 1, epoch) for epoch in (0, 1))
    assert sorted(row for batch in first for row in batch) == list(range(32))
    assert first != second
    assert first == no_duplicate_batches(keys, 8, 1, 0)


def test_rows_of_one_item_alone_make_no_batch() -> None:
    assert no_duplicate_batches([("a",)] * 9, 4, 1, 0) == []


def test_few_rows_still_make_one_batch() -> None:
    assert len(no_duplicate_batches([("a",), ("b",), ("c",)], 32, 1, 0)) == 1
