"""The text encoder: texts in, unit vectors out, truncated alike in training and in serving.

>>> from beauty_rec.settings import EncoderSettings
>>> encoder = TextEncoder.load("all-MiniLM-L6-v2", EncoderSettings())
>>> encoder.encode_queries(["smells of roses"]).shape
(1, 384)
"""

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from beauty_rec.artifacts import atomic_path, write_text_atomic
from beauty_rec.retriever.model_files import resolve_model, unavailable
from beauty_rec.retriever.packed_linear import PackedLinears
from beauty_rec.settings import EncoderSettings, offline

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_LIMITS_FILE = "text_encoder.json"


class TextEncoder:
    """A sentence-transformers model with fixed token limits for queries and for items.

    Attributes:
        model: the sentence-transformers model, weights in float32.
        name: what a model card calls it (never a path).
        max_query_tokens, max_item_tokens: with the encoder's own first and last token.
        reduced: what forward passes run in: bfloat16 or float16; None: float32, as it is.
    """

    def __init__(self, model: "SentenceTransformer", name: str, settings: EncoderSettings) -> None:
        self.model = model
        self.name = name
        self.max_query_tokens = _within(model, settings.max_query_tokens)
        self.max_item_tokens = _within(model, settings.max_item_tokens)
        self._batch_size = settings.batch_size
        self.reduced = _reduced(settings.precision, model.device)
        self._packed: PackedLinears | None = None

    @classmethod
    def load(cls, name_or_folder: str | Path, settings: EncoderSettings) -> "TextEncoder":
        """Load a packaged model, a local folder or a hub model.

        A folder written by :meth:`save` brings its name and token limits along, so that serving
        truncates as training did; other fields of ``settings`` apply as given.

        Raises:
            EncoderUnavailable: no such model here, and none can be fetched; says what to do.
        """
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        if not sys.stderr.isatty():  # as tqdm's disable=None: no bars in logs
            logging.disable_progress_bar()
        source = resolve_model(name_or_folder)
        try:
            model = SentenceTransformer(
                source,
                device=None if settings.device == "auto" else settings.device,
                model_kwargs={"dtype": torch.float32},
                local_files_only=Path(source).is_dir() or offline(),
            )
        except (OSError, ValueError) as error:  # what the hub client and transformers raise
            raise unavailable(str(name_or_folder), error) from error
        name = Path(name_or_folder).name if Path(name_or_folder).is_dir() else str(name_or_folder)
        limits = Path(source) / _LIMITS_FILE
        if limits.exists():
            saved: dict[str, Any] = json.loads(limits.read_text(encoding="utf-8"))
            name = saved.pop("name")
            settings = settings.model_copy(update=saved)
        model.eval()
        return cls(model, name, settings)

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        width = self.model.get_embedding_dimension()
        assert width is not None, "a text encoder has a fixed width"
        return int(width)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors float32 ``[N, D]`` of queries, cut at ``max_query_tokens``."""
        return self._encode(texts, self.max_query_tokens, "queries")

    def encode_contexts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return :meth:`encode_queries` of texts whose scores are to be the same one by one.

        On a CPU in float32: a bfloat16 vector depends on what else is in its batch, by about 1e-3,
        and a request comes alone.
        """
        reduced = self.model.device.type != "cpu"
        return self._encode(texts, self.max_query_tokens, "contexts", reduced=reduced)

    def encode_items(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors float32 ``[N, D]`` of item texts, cut at ``max_item_tokens``."""
        return self._encode(texts, self.max_item_tokens, "items")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, uncut, without the encoder's first and last token."""
        if not texts:
            return []
        ids = self.model.tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [len(row) for row in ids["input_ids"]]

    def features(self, texts: Sequence[str], max_tokens: int) -> dict[str, torch.Tensor]:
        """Return ``input_ids`` and its companions, int64 ``[N, longest]``, on the model's device.

        Padding takes the longest of the given texts, at most ``max_tokens``.
        """
        rows = self.model.tokenizer(
            list(texts), truncation=True, max_length=max_tokens, padding=True, return_tensors="pt"
        )
        return {name: tensor.to(self.model.device) for name, tensor in rows.items()}

    @contextmanager
    def mixed_precision(self) -> Iterator[None]:
        """Run the model's forward passes in the encoder's precision; vectors leave as float32.

        The forward itself is wrapped, not the caller's code, so that a loss is computed in float32
        and a gradient cache repeats a pass in the precision of its first run.
        """
        plain = self.model.forward
        outer = vars(self.model).get("forward")  # set when an evaluation runs within a training

        def forward(features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
            with torch.autocast(
                self.model.device.type,
                self.reduced or torch.bfloat16,
                enabled=self.reduced is not None,
            ):
                out = plain(features, **kwargs)
            out["sentence_embedding"] = out["sentence_embedding"].float()
            return out

        self.model.forward = forward  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            del self.model.forward
            if outer is not None:
                self.model.forward = outer  # type: ignore[method-assign]

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), tokenizer, configuration and token limits, atomically."""
        backend = getattr(self.model.tokenizer, "backend_tokenizer", None)
        if backend is not None:  # it keeps the last call's limits, which tokenizer.json would hold
            backend.no_truncation()
            backend.no_padding()
        with atomic_path(folder) as draft:
            self.model.save_pretrained(str(draft), create_model_card=False, safe_serialization=True)
            limits = {
                "name": self.name,
                "max_query_tokens": self.max_query_tokens,
                "max_item_tokens": self.max_item_tokens,
            }
            write_text_atomic(draft / _LIMITS_FILE, json.dumps(limits, indent=2) + "\n")

    def _encode(
        self, texts: Sequence[str], max_tokens: int, what: str, *, reduced: bool = True
    ) -> NDArray[np.float32]:
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        # Texts of like length share a batch: little padding; the longest first shows its memory.
        order = sorted(range(len(texts)), key=lambda i: (-len(texts[i]), i))
        was_training = self.model.training
        if was_training:  # walking through the modules costs a request a millisecond
            self.model.eval()
        bar = tqdm(total=len(texts), desc=f"encode {what}", unit="text", disable=None)
        passes = self.mixed_precision() if reduced else self._packed_layers()
        with bar, torch.inference_mode(), passes:
            for rows, batch in self._batches(texts, order, max_tokens):
                vectors[rows] = self.model(batch)["sentence_embedding"].cpu().numpy()
                bar.update(len(rows))
        if was_training:
            self.model.train()
        found: NDArray[np.float32] = vectors / np.maximum(
            np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12
        )
        return found

    def _batches(
        self, texts: Sequence[str], order: list[int], max_tokens: int
    ) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
        """Yield rows of ``texts`` and their features; the next ones are made meanwhile."""
        size = self._batch_size
        parts = [order[start : start + size] for start in range(0, len(order), size)]

        def features(rows: list[int]) -> dict[str, torch.Tensor]:
            return self.features([texts[row] for row in rows], max_tokens)

        if len(parts) < 2:  # a thread takes longer to start than a request's texts to be cut
            yield from ((rows, features(rows)) for rows in parts)
            return
        with ThreadPoolExecutor(1, "tokenize") as worker:
            ahead = worker.submit(features, parts[0])
            for rows, following in pairwise([*parts, []]):
                batch = ahead.result()
                if following:
                    ahead = worker.submit(features, following)
                yield rows, batch

    def _packed_layers(self) -> AbstractContextManager[None]:
        if self._packed is None and PackedLinears.fit(self.model):
            self._packed = PackedLinears(self.model)
        return nullcontext() if self._packed is None else self._packed.used()


def _within(model: "SentenceTransformer", tokens: int) -> int:
    """Return ``tokens``, or the number of positions that the model knows if that is less."""
    transformer: Any = model[0]
    config = transformer.auto_model.config
    positions = int(getattr(config, "max_position_embeddings", tokens))
    if config.model_type in ("xlm-roberta", "roberta"):
        positions -= 2  # their position ids start after the padding id
    return min(tokens, positions)


def _reduced(precision: str, device: torch.device) -> torch.dtype | None:
    """Return what forward passes run in; "auto": what the hardware multiplies in, or None."""
    if precision != "auto":
        return {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    if device.type == "cuda":
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if bfloat16 else torch.float16
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return None
    capabilities = torch.cpu.get_capabilities()
    found = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if found else None
