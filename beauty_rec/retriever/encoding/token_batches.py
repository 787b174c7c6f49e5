"""Batches of texts by a budget of padded tokens, tokenized beside the device."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def token_batches(lengths: Sequence[int], budget: int, *, same_length: bool) -> list[list[int]]:
    """Return batches of row numbers, the longest rows first, which show a batch's memory.

    A batch times its longest row is at most ``budget`` tokens, unless it holds one row.

    Args:
        lengths: tokens of each row.
        budget: tokens of a batch, padding included.
        same_length: all rows of a batch are of one length. Nothing is padded then, and what a row
            gives depends on nothing but itself wherever products are exact.

    >>> token_batches([2, 9, 3, 2], 6, same_length=False)
    [[1], [2, 0], [3]]
    >>> token_batches([2, 9, 3, 2], 6, same_length=True)
    [[1], [2], [0, 3]]
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        longest = lengths[batch[0]] if batch else 0
        other = same_length and lengths[row] != longest
        if batch and (other or (len(batch) + 1) * longest > budget):
            batches.append(batch)
            batch = []
        batch.append(row)
    return [*batches, batch] if batch else []


def made_ahead(parts: Iterable[T], make: Callable[[T], R], ahead: int = 2) -> Iterator[R]:
    """Yield ``make`` of each part in order; the next ones are made meanwhile by a thread.

    >>> list(made_ahead("ab", str.upper))
    ['A', 'B']
    """
    rest = iter(parts)
    first = list(islice(rest, 2))
    if len(first) < 2:  # a thread takes longer to start than a request's texts to be cut
        yield from map(make, first)
        return
    with ThreadPoolExecutor(1, "tokenize") as worker:
        waiting = [worker.submit(make, part) for part in chain(first, islice(rest, ahead - 2))]
        while waiting:
            made = waiting.pop(0).result()
            waiting += [worker.submit(make, part) for part in islice(rest, 1)]
            yield made
