"""What the item tower reads of each item, as padded arrays of ids."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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

    def contents(self) -> list[tuple[list[int], list[int], str]]:
        """Return all that each item's vector depends on."""
        return [
            (std, re, self._title(row))
            for row, (std, re) in enumerate(zip(self.std.tolist(), self.re.tolist(), strict=True))
        ]

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


class TitleReader:
    """Token states of titles by a Transformer, which is frozen or trained along.

    Frozen, every distinct title is read once and kept as float16.
    """

    def __init__(
        self,
        tokenizer: Callable[..., Mapping[str, Tensor]],
        encoder: torch.nn.Module,
        titles: Sequence[str],
        max_tokens: int,
        trained: bool,
    ) -> None:
        self.encoder, self.trained = encoder, trained
        read = tokenizer(
            list(titles) or [""],
            padding=True,
            truncation=True,
            max_length=max_tokens,
            return_tensors="pt",
        )
        self.tokens: Tensor = read["input_ids"]
        self.mask: Tensor = read["attention_mask"].bool()
        self.kept = None if trained else self._read_all()

    @property
    def width(self) -> int:
        """H, of a token state."""
        return int(self.encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def read(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return states ``[B, T, H]`` and mask bool ``[B, T]``; all False for a row of -1."""
        mask = self.mask[rows.clamp(min=0)] & (rows >= 0)[:, None]
        if self.kept is not None:
            return self.kept[rows.clamp(min=0)].float(), mask
        return self._states(rows.clamp(min=0)), mask

    def _states(self, rows: Tensor, width: int | None = None) -> Tensor:
        device = next(self.encoder.parameters()).device
        mask = self.mask[rows, :width].to(device)
        tokens = self.tokens[rows, :width].to(device)
        out = self.encoder(input_ids=tokens, attention_mask=mask.long())
        states: Tensor = out.last_hidden_state
        return states

    @torch.inference_mode()
    def _read_all(self) -> Tensor:
        """Read titles of one length together, so that little of it is padding."""
        self.encoder.eval()
        place = torch.arange(1, self.mask.shape[1] + 1)
        length = (self.mask * place).amax(dim=1)
        kept = torch.zeros(*self.mask.shape, self.width, dtype=torch.half)
        for part in length.argsort(stable=True).split(256):
            width = max(1, int(length[part].max()))
            kept[part, :width] = self._states(part, width).half().cpu()
        return kept
