"""Batches in which no pair is a false negative of another."""

import random
from collections import deque
from collections.abc import Hashable, Sequence


def no_duplicate_batches(
    keys: Sequence[Sequence[Hashable]], batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """Return batches of row numbers in which no two rows share a key.

    A key is what makes two pairs the same to the loss: the item, the query, the item text. Rows
    are shuffled by (seed, epoch); a row that clashes waits for the next batch. What cannot fill
    half of the first batch at the end is left out: with few negatives it would teach little. (The
    first one holds as many as there are: a shop with few items makes small batches.)

    Args:
        keys: the keys of each row.
        batch_size: rows of a full batch.
        seed, epoch: the same two give the same batches, on every run.
    """
    rows = list(range(len(keys)))
    random.Random(f"{seed}/{epoch}").shuffle(rows)
    waiting = deque(rows)
    batches: list[list[int]] = []
    fewest = 2
    while waiting:
        batch: list[int] = []
        used: set[Hashable] = set()
        clashing: list[int] = []
        while waiting and len(batch) < batch_size:
            row = waiting.popleft()
            if used.isdisjoint(keys[row]):
                batch.append(row)
                used.update(keys[row])
            else:
                clashing.append(row)
        waiting.extendleft(reversed(clashing))
        if len(batch) < fewest:
            break
        batches.append(batch)
        fewest = max(2, len(batches[0]) // 2)
    return batches
