"""The known id that is most like one that is not known, for who mistyped it."""

import threading
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from beauty_rec.recommender.online.stock.near_names import SortedNames

ENDS = 3


class NearestIds:
    """Finds the nearest id in a shop that grows; threads may share it.

    The ids of a set are put in order once, when one is mistyped; those that came since, again when
    there are more of them.

    Args:
        first: the ids of the set.
    """

    def __init__(self, first: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._first, self._ids = first, first
        self._ordered: SortedNames | None = None
        self._later = SortedNames([])

    def find(self, name: str, ids: Sequence[str]) -> str | None:
        """Return the known id that looks most like ``name``; None where none does.

        Args:
            name: what is not known.
            ids: those of the set, and after them those that came since.
        """
        with self._lock:
            if self._ordered is None:
                self._ordered = SortedNames(self._first)
            if self._ids is not ids:
                self._later, self._ids = SortedNames(ids[len(self._first) :]), ids
            known = self._ordered, self._later
        return nearest(name, known)


def nearest(name: str, known: Iterable[SortedNames]) -> str | None:
    """Return the id of ``known`` that looks most like ``name``; None where none does.

    Those that begin or end like it are compared, letters of either case being one.
    """
    plain = name.strip().casefold()
    head, tail = plain[:ENDS], plain[-ENDS:]
    alike = {}
    for names in known:
        for each in names.around(plain):
            folded = each.casefold()
            if folded == plain:
                return each
            if folded.startswith(head) or folded.endswith(tail):
                alike[folded] = each
    found = get_close_matches(plain, alike, 1)
    return alike[found[0]] if found else None
