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


def test_a_shop_with_few_items_learns_from_nearly_all_pairs() -> None:
    keys = [(f"item {row % 100}", f"query {row}") for row in range(6_400)]
    batches = no_duplicate_batches(keys, 256, 7, 0)
    assert sum(map(len, batches)) > 0.95 * len(keys)
    assert min(map(len, batches)) >= 50  # half of the first: all 100 items
    assert batches == no_duplicate_batches(keys, 256, 7, 0)


def test_what_fills_no_half_of_a_full_batch_is_left_out() -> None:
    keys = [(f"k{i}",) for i in range(32 + 15)]
    assert [len(batch) for batch in no_duplicate_batches(keys, 32, 1, 0)] == [32]
    assert [len(batch) for batch in no_duplicate_batches([*keys, ("k",)], 32, 1, 0)] == [32, 16]


def test_few_rows_still_make_one_batch() -> None:
    assert len(no_duplicate_batches([("a",), ("b",), ("c",)], 32, 1, 0)) == 1
