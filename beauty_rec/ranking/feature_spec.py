"""The layout and statistics of the reranker's features: saved with the model."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.items.evidence import buyer_steps
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.settings import RankingSettings

DENSE = (
    *("tower_score", "tower_log_rank", "text_score", "text_log_rank"),
    *("log_price", "log_count", "log_recent", "log_context", "log_age_days"),
    *("log_history", "std_similarity", "re_similarity"),
)
FLAGGED = ("tower_score", "text_score", "log_price", "log_context", "log_age_days")


class FeatureSpec(BaseModel):
    """Names, layout and statistics; saved with the model that was trained on them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabulary_version: str
    user_fields: dict[str, int]
    """Name and slots of each sparse field of a query."""
    item_fields: dict[str, int]
    numbers: list[str]
    """Numeric profile columns, z-scored."""
    labels: list[str]
    """Profile columns with an id: strings, and numbers as bands."""
    steps: dict[str, float]
    """Width of a band of a numeric column."""
    history_length: int
    mean: list[float] = []
    std: list[float] = []

    @classmethod
    def layout(
        cls,
        vocabulary: Vocabulary,
        profiles: pl.DataFrame | None,
        reviews: pl.DataFrame,
        settings: RankingSettings,
    ) -> "FeatureSpec":
        """Return the layout, without statistics; ``reviews`` are those of train."""
        schema = {} if profiles is None else profiles.schema
        steps = {} if profiles is None else buyer_steps(reviews, profiles)
        strings = [n for n, t in schema.items() if t == pl.String and n != "user_id"]
        labels = [n for n in (*strings, *steps) if f"buyer_{n}" in vocabulary.re_fields]
        return cls(
            vocabulary_version=vocabulary.version,
            user_fields={
                "history_std": settings.history_std,
                "history_re": settings.history_re,
                "context": 1,
                **{f"buyer_{name}": 1 for name in labels},
            },
            item_fields={**dict.fromkeys(vocabulary.std_fields, 1), "re": vocabulary.max_re},
            numbers=[name for name, dtype in schema.items() if dtype.is_numeric()],
            labels=labels,
            steps=steps,
            history_length=settings.history_length,
        )

    @property
    def raw(self) -> list[str]:
        """Names of the dense values before flags."""
        return [*DENSE, *(f"profile_{name}" for name in self.numbers)]

    @property
    def flagged(self) -> list[int]:
        """Columns of :attr:`raw` that get a missing-value flag."""
        raw = self.raw
        return [raw.index(name) for name in (*FLAGGED, *raw[len(DENSE) :])]

    @property
    def dense(self) -> list[str]:
        """Names of all dense values."""
        return [*self.raw, *(f"{self.raw[i]}_missing" for i in self.flagged)]

    def fitted(self, raw: NDArray[np.float32]) -> "FeatureSpec":
        """Return the spec with the mean and deviation of each column of ``raw`` [N, len(raw)].

        NaN is left out; a column without a value gets 0 and 1, a constant one deviation 1.
        """
        known = ~np.isnan(raw)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, raw, 0).sum(0, dtype=np.float64) / count
        square = np.where(known, np.square(raw - mean), 0).sum(0, dtype=np.float64) / count
        std = np.where(square > 1e-12, np.sqrt(square), 1.0)
        return self.model_copy(update={"mean": mean.tolist(), "std": std.tolist()})

    def standardise(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``raw`` z-scored, NaN as 0, with its flags: float32 [N, len(self.dense)].

        Raises:
            ValueError: the spec has no statistics yet.
        """
        if not self.mean:
            raise ValueError("the feature spec has no statistics; call fitted() first")
        missing = np.isnan(raw)
        mean, std = (np.array(told, dtype=np.float32) for told in (self.mean, self.std))
        scaled = (raw - mean) / std
        scaled[missing] = 0.0
        return np.concatenate([scaled, missing[:, self.flagged].astype(np.float32)], axis=1)

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_text_atomic(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "FeatureSpec":
        """Read what :meth:`save` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
