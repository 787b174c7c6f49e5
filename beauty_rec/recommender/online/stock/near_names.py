"""Names like one that is not known: of any number of them a hundred that are worth comparing."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence

BESIDE = 25
"""Names on either side of a name's place that are looked at, in each of the two orders."""


class SortedNames:
    """Names by their beginnings and by their ends, letters of either case being one.

    Putting them in order takes as long as reading them all a few times; each question after that
    reads a few dozen.

    Args:
        names: they are kept as they are, and must not change.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        heads = [name.casefold() for name in names]
        self._by_head = array("i", sorted(range(len(names)), key=heads.__getitem__))
        tails = [head[::-1] for head in heads]
        self._by_tail = array("i", sorted(range(len(names)), key=tails.__getitem__))

    def around(self, name: str) -> list[str]:
        """Return the names that begin most like one, then those that end most like it."""
        plain = name.casefold()
        begin = self._beside(self._by_head, plain, str.casefold)
        return list(dict.fromkeys([*begin, *self._beside(self._by_tail, plain[::-1], _reversed)]))

    def _beside(self, order: "array[int]", wanted: str, key: Callable[[str], str]) -> list[str]:
        place = bisect_left(order, wanted, key=lambda row: key(self.names[row]))
        return [self.names[row] for row in order[max(0, place - BESIDE) : place + BESIDE]]


def _reversed(name: str) -> str:
    return name.casefold()[::-1]
