"""Token states of titles by a Transformer: read once, kept in a file, streamed from there.

At a million titles of 24 tokens the states take 18 GB: only those of a batch are in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from beauty_rec.retriever.encoding.precision import reduced_precision
from beauty_rec.towers.row_file import RowFile

TOKENIZED = 4_096
"""Titles of one call of the tokenizer, whose answer is Python lists."""
READ = 256
"""Titles of one pass of the encoder."""


class TitleReader:
    """Token states of titles by a Transformer, which is frozen or trained along.

    Frozen, every distinct title is read once and its states are kept in a file.
    """

    def __init__(
        self,
        tokenizer: Callable[..., Mapping[str, Tensor]],
        encoder: torch.nn.Module,
        titles: Sequence[str],
        max_tokens: int,
        trained: bool,
        folder: Path | None = None,
        precision: str = "auto",
    ) -> None:
        """Tokenize ``titles``, and read them if the encoder is frozen.

        Args:
            tokenizer: of the encoder.
            encoder: the Transformer, on the device that it computes on.
            titles: the distinct titles.
            max_tokens: a longer title is cut.
            trained: whether the encoder is trained along.
            folder: on whose disk the states lie; None: that of temporary files.
            precision: ``encoder.precision``, of an encoder that is frozen; states are kept in
                float16 whatever it is.
        """
        self.encoder, self.trained = encoder, trained
        self.tokens, self.mask = _tokenized(tokenizer, list(titles) or [""], max_tokens)
        self.kept = None if trained else self._read_all(folder, precision)

    @property
    def width(self) -> int:
        """H, of a token state."""
        return int(self.encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def read(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return states ``[B, T, H]`` and mask bool ``[B, T]``; all False for a row of -1.

        The states are on the encoder's device where it is trained, else on the CPU.
        """
        mask = self.mask[rows.clamp(min=0)] & (rows >= 0)[:, None]
        if self.kept is not None:
            return torch.from_numpy(self.kept.take(rows.clamp(min=0).numpy())).float(), mask
        return self._states(rows.clamp(min=0)), mask

    def _states(self, rows: Tensor, width: int | None = None) -> Tensor:
        device = next(self.encoder.parameters()).device
        mask = self.mask[rows, :width].to(device)
        tokens = self.tokens[rows, :width].to(device)
        out = self.encoder(input_ids=tokens, attention_mask=mask.long())
        states: Tensor = out.last_hidden_state
        return states

    @torch.inference_mode()
    def _read_all(self, folder: Path | None, precision: str) -> RowFile:
        """Read titles of one length together, so that little of it is padding."""
        self.encoder.eval()
        device = next(self.encoder.parameters()).device
        reduced = reduced_precision(precision, device)
        place = torch.arange(1, self.mask.shape[1] + 1)
        length = (self.mask * place).amax(dim=1)
        kept = RowFile((*self.mask.shape, self.width), np.float16, folder)
        for part in length.argsort(stable=True).split(READ):
            width = max(1, int(length[part].max()))
            with torch.autocast(device.type, reduced, enabled=reduced is not None):
                states = self._states(part, width)
            kept.put(part.numpy(), states.half().cpu().numpy())
        return kept


def _tokenized(
    tokenizer: Callable[..., Mapping[str, Tensor]], titles: list[str], max_tokens: int
) -> tuple[Tensor, Tensor]:
    """Return ids int64 and mask bool, ``[N, T]``; T is the longest title's, at most max_tokens."""
    parts = []
    for start in range(0, len(titles), TOKENIZED):
        read = tokenizer(
            titles[start : start + TOKENIZED],
            padding=True,
            truncation=True,
            max_length=max_tokens,
            return_tensors="pt",
        )
        parts.append((read["input_ids"], read["attention_mask"].bool()))
    width = max(tokens.shape[1] for tokens, _ in parts)
    padding = getattr(tokenizer, "pad_token_id", None) or 0
    pad = torch.nn.functional.pad
    return (
        torch.cat([pad(ids, (0, width - ids.shape[1]), value=padding) for ids, _ in parts]),
        torch.cat([pad(mask, (0, width - mask.shape[1])) for _, mask in parts]),
    )
