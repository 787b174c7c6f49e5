"""What the item tower reads of each item, as padded arrays of ids."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Content = tuple[tuple[int, ...], tuple[int, ...], str]
"""All that an item's vector depends on: STD ids, RE ids, title."""
PAD, MASK = 0, 2
"""Ids of every vocabulary; 1 is a value that it lacks."""


@dataclass(frozen=True)
class ItemFeatures:
    """``N`` items.

    Attributes:
        ids: parent_asin of each row.
        std: int64 ``[N, S]``, one id per STD field; ``PAD`` where the value is missing.
        re: int64 ``[N, R]``, RE ids; ``PAD`` fills.
        title: int64 ``[N]``, row of ``titles``; -1 for an item without one.
        titles: the distinct titles.
    """

    ids: list[str]
    std: NDArray[np.int64]
    re: NDArray[np.int64]
    title: NDArray[np.int64]
    titles: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> "ItemFeatures":
        """Return some of the items, with the titles that they have."""
        texts = {self.ids[row]: self._title(row) for row in rows}
        return item_features(list(texts), self.std[list(rows)], self.re[list(rows)], texts)

    def contents(self) -> Iterator[Content]:
        """Yield all that each item's vector depends on."""
        for row, (std, re) in enumerate(zip(self.std, self.re, strict=True)):
            yield tuple(std.tolist()), tuple(re[re != PAD].tolist()), self._title(row)

    def _title(self, row: int) -> str:
        return self.titles[self.title[row]] if self.title[row] >= 0 else ""

    def distinct(self) -> NDArray[np.int64]:
        """Return the first row of each group of items that nothing here tells apart."""
        rows = np.concatenate([self.std, np.sort(self.re, axis=1), self.title[:, None]], axis=1)
        return np.sort(np.unique(rows, axis=0, return_index=True)[1]).astype(np.int64)


def item_features(
    ids: Sequence[str],
    std: NDArray[np.int64],
    re: NDArray[np.int64],
    titles: Mapping[str, str],
) -> ItemFeatures:
    """Return the features of the items ``ids``.

    Args:
        ids: parent_asin of each row.
        std, re: what the vocabulary's ``encode`` gives for them.
        titles: parent_asin → title; an item may be absent or blank.

    Raises:
        ValueError: the arrays are not one row per item.
    """
    if not len(ids) == len(std) == len(re):
        raise ValueError(f"{len(ids)} ids, {len(std)} rows of std, {len(re)} rows of re")
    texts = [(titles.get(name) or "").strip() for name in ids]
    distinct = sorted(set(texts) - {""})
    place = {text: index for index, text in enumerate(distinct)}
    title = np.array([place.get(text, -1) for text in texts], np.int64)
    return ItemFeatures(list(ids), std, re, title, distinct)
