"""The text encoder: texts in, unit vectors out, truncated alike in training and in serving.

>>> from beauty_rec.settings import EncoderSettings
>>> encoder = TextEncoder.load("all-MiniLM-L6-v2", EncoderSettings())
>>> encoder.encode_queries(["smells of roses"]).shape
(1, 384)
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from beauty_rec.artifacts import atomic_path, write_text_atomic
from beauty_rec.retriever.encoding.precision import may_quantize, reduced_precision
from beauty_rec.retriever.encoding.quantized_linear import QuantizedLinears
from beauty_rec.retriever.encoding.recent import WORTHWHILE, RecentVectors, model_digest
from beauty_rec.retriever.encoding.token_batches import made_ahead, token_batches
from beauty_rec.retriever.model_files import resolve_model, unavailable
from beauty_rec.retriever.packed_linear import PackedLinears
from beauty_rec.row_cache import maker_of
from beauty_rec.settings import EncoderSettings, offline

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_LIMITS_FILE = "text_encoder.json"
_TOKENIZED = 4_096
"""Texts of one call of the tokenizer, whose answer is Python lists."""
_FEW = 16
"""Texts that are one batch whatever their lengths: a request's."""

_RECENT = RecentVectors()
"""Of all encoders on this process's CPU."""

Tokens = Mapping[str, list[list[int]]]
"""Of each text, ``input_ids`` and its companions."""


class TextEncoder:
    """A sentence-transformers model with fixed token limits for queries and for items.

    Attributes:
        model: the sentence-transformers model, weights in float32.
        name: what a model card calls it (never a path).
        max_query_tokens, max_item_tokens: with the encoder's own first and last token.
        reduced: what forward passes run in: bfloat16 or float16; None: float32, as it is.
        may_quantize: whether this processor and the settings allow int8, see :meth:`encode_items`.
    """

    def __init__(self, model: "SentenceTransformer", name: str, settings: EncoderSettings) -> None:
        self.model = model
        self.name = name
        self.max_query_tokens = _within(model, settings.max_query_tokens)
        self.max_item_tokens = _within(model, settings.max_item_tokens)
        self._on_cpu = model.device.type == "cpu"
        self._budget = settings.tokens_at_once(on_gpu=not self._on_cpu)
        self.reduced = reduced_precision(settings.precision, model.device)
        self.may_quantize = may_quantize(settings.precision, model.device)
        self._packed: PackedLinears | None = None
        self._quantized: QuantizedLinears | None = None

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
        return self._recalled(texts, self.max_query_tokens, "queries")

    def encode_contexts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return :meth:`encode_queries` of texts whose scores are to be the same one by one.

        In float32 on every device: a bfloat16 vector depends on what else is in its batch, by about
        1e-3, and a request comes alone, on a CPU.
        """
        return self._encode(texts, self.max_query_tokens, "contexts", reduced=False)

    def encode_items(
        self, texts: Sequence[str], *, quantized: bool = False, reduced: bool = True
    ) -> NDArray[np.float32]:
        """Return unit vectors float32 ``[N, D]`` of item texts, cut at ``max_item_tokens``.

        Args:
            texts: of the items.
            quantized: with linear layers in int8, where ``may_quantize``. A vector then depends on
                its text alone, to the last bit.
            reduced: in the encoder's precision; otherwise in float32.
        """
        int8 = quantized and self.may_quantize
        return self._recalled(texts, self.max_item_tokens, "items", reduced=reduced, quantized=int8)

    def precision_of_items(self, *, quantized: bool) -> str:
        """Return the name of what :meth:`encode_items` computes in."""
        if quantized and self.may_quantize:
            return "int8"
        return str(self.reduced or torch.float32).removeprefix("torch.")

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

    def tokenized(self, texts: Sequence[str], max_tokens: int) -> Tokens:
        """Return ``input_ids`` and its companions, lists of at most ``max_tokens``, not padded."""
        ids: Tokens = self.model.tokenizer(list(texts), truncation=True, max_length=max_tokens)
        return ids

    def padded(self, ids: Tokens, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return :meth:`features` of some rows of what :meth:`tokenized` returned."""
        chosen = {name: [values[row] for row in rows] for name, values in ids.items()}
        tensors = self.model.tokenizer.pad(chosen, return_tensors="pt", verbose=False)
        return {name: tensor.to(self.model.device) for name, tensor in tensors.items()}

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

    def _recalled(
        self, texts: Sequence[str], max_tokens: int, what: str, **mode: bool
    ) -> NDArray[np.float32]:
        """Return :meth:`_encode`, of many texts on a CPU what the last call of the same gave."""
        if not self._on_cpu or len(texts) < WORTHWHILE:
            return self._encode(texts, max_tokens, what, **mode)
        how = max_tokens, self._budget, self.reduced, sorted(mode.items())
        key = maker_of(model_digest(self.model), how, list(texts))
        return _RECENT.of(key, lambda: self._encode(texts, max_tokens, what, **mode))

    def _encode(
        self,
        texts: Sequence[str],
        max_tokens: int,
        what: str,
        *,
        reduced: bool = True,
        quantized: bool = False,
    ) -> NDArray[np.float32]:
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        was_training = self.model.training
        if was_training:  # walking through the modules costs a request a millisecond
            self.model.eval()
        # Rows of one length on a CPU: no padding to compute, and no company to depend on.
        same_length = self._on_cpu and reduced
        with ExitStack() as held:
            bar = tqdm(total=len(texts), desc=f"encode {what}", unit="text", disable=None)
            held.enter_context(bar)
            held.enter_context(torch.inference_mode())
            if quantized:
                held.enter_context(self._quantized_layers())
            else:
                held.enter_context(self.mixed_precision() if reduced else self._packed_layers())
            computed: list[tuple[list[int], torch.Tensor]] = []
            for rows, batch in self._batches(texts, max_tokens, same_length=same_length):
                computed.append((rows, self.model(batch)["sentence_embedding"]))
                if len(computed) == 2:  # a GPU computes this batch while the last one is fetched
                    _fetch(computed, vectors)
                bar.update(len(rows))
            _fetch(computed, vectors, left=0)
        if was_training:
            self.model.train()
        found: NDArray[np.float32] = vectors / np.maximum(
            np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12
        )
        return found

    def _batches(
        self, texts: Sequence[str], max_tokens: int, *, same_length: bool
    ) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
        """Yield rows of ``texts`` and their features; the next texts are cut meanwhile."""
        # Texts of like length share a batch: little padding; the longest first shows its memory.
        order = sorted(range(len(texts)), key=lambda i: (-len(texts[i]), i))
        if 0 < len(texts) <= _FEW and not same_length:
            yield order, self.features([texts[row] for row in order], max_tokens)
            return

        def tokenized(rows: list[int]) -> tuple[list[int], Tokens]:
            return rows, self.tokenized([texts[row] for row in rows], max_tokens)

        parts = (order[start : start + _TOKENIZED] for start in range(0, len(order), _TOKENIZED))
        for rows, ids in made_ahead(parts, tokenized):
            lengths = [len(row) for row in ids["input_ids"]]
            for batch in token_batches(lengths, self._budget, same_length=same_length):
                yield [rows[i] for i in batch], self.padded(ids, batch)

    def _packed_layers(self) -> AbstractContextManager[None]:
        if self._packed is None and PackedLinears.fit(self.model):
            self._packed = PackedLinears(self.model)
        return nullcontext() if self._packed is None else self._packed.used()

    def _quantized_layers(self) -> AbstractContextManager[None]:
        if self._quantized is None:
            self._quantized = QuantizedLinears(self.model)
        return self._quantized.used()


def _fetch(
    computed: list[tuple[list[int], torch.Tensor]], vectors: NDArray[np.float32], left: int = 1
) -> None:
    """Move the oldest of what was computed into ``vectors``, until ``left`` are left."""
    while len(computed) > left:
        rows, found = computed.pop(0)
        vectors[rows] = found.cpu().numpy()


def _within(model: "SentenceTransformer", tokens: int) -> int:
    """Return ``tokens``, or the number of positions that the model knows if that is less."""
    transformer: Any = model[0]
    config = transformer.auto_model.config
    positions = int(getattr(config, "max_position_embeddings", tokens))
    if config.model_type in ("xlm-roberta", "roberta"):
        positions -= 2  # their position ids start after the padding id
    return min(tokens, positions)
