"""The layout and statistics of the reranker's features: saved with the model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.events.occasions import occasions
from beauty_rec.items.event_evidence import buyer_steps
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.measures.outliers import believable
from beauty_rec.settings import RankingSettings

RETRIEVAL = ("user_tower", "item_to_item", "popular", "new_arrivals")
"""Sources of candidates whose scores are read, each on the scale of its ask: see ``recommender``.

None reads a text. In train an item's text holds what its own buyers wrote, and the retriever has
seen their reviews, so a learned order would trust a text far beyond its worth.
"""
PRICE = "log_price"
PROFILE = "profile_"
"""What the name of a number of the user begins with."""
DENSE = (
    *RETRIEVAL,
    *(PRICE, "log_count", "log_age_days"),
    *("log_history", "std_similarity", "re_similarity", "history_similarity"),
)
"""Dense values of every shop, the price where it is asked for; those of half-lives and profile
numbers follow."""
CLIP = 5.0
"""Standard deviations kept of a dense value: one odd price must not decide."""
FLAGGED = (PRICE, "log_age_days")


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
    number_mean: list[float]
    number_std: list[float]
    """Of each numeric profile column over the train buyers."""
    history_length: int
    half_lives_days: list[float]
    """Of an item's decayed popularity."""
    context_half_lives_days: list[float]
    """Of the same within a context."""
    contexts: list[str] = []
    """Occasions that are told apart, of all of train: a fold and a night count the same ones."""
    mean: list[float] = []
    std: list[float] = []
    price: bool = True
    """Whether the price is a dense value, as it was in all specs from before this could be said."""
    dense_bins: int = 0
    """Of each dense value, at most; 0: none."""
    edges: list[list[float]] = []
    """Between the bins of each column of :attr:`raw`, ascending."""

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
        numbers = [name for name, dtype in schema.items() if dtype.is_numeric()]
        centres, widths = _scales(profiles, numbers, reviews)
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
            numbers=numbers,
            labels=labels,
            steps=steps,
            number_mean=centres,
            number_std=widths,
            history_length=settings.history_length,
            half_lives_days=list(settings.half_lives_days),
            context_half_lives_days=list(settings.context_half_lives_days),
            contexts=occasions(reviews),
            price=settings.price,
            dense_bins=settings.dense_bins,
        )

    @property
    def popularity(self) -> list[str]:
        """Names of the dense values of an item's decayed popularity."""
        return [f"log_popularity_{days:g}d" for days in self.half_lives_days]

    @property
    def in_context(self) -> list[str]:
        """Names of the dense values of an item within the query's context."""
        days = [f"{days:g}d" for days in self.context_half_lives_days]
        return [f"{kind}_{name}" for kind in ("log_context", "context_lift") for name in days]

    @property
    def raw(self) -> list[str]:
        """Names of the dense values before flags."""
        return [
            *self._known(DENSE),
            *self.popularity,
            *self.in_context,
            *(PROFILE + name for name in self.numbers),
            *(f"fit_{name}" for name in self.numbers),
        ]

    @property
    def flagged(self) -> list[int]:
        """Columns of :attr:`raw` that get a missing-value flag: one for all that miss together."""
        raw = self.raw
        profile = [PROFILE + name for name in self.numbers]
        return [raw.index(name) for name in (*self._known(FLAGGED), *self.in_context[:1], *profile)]

    @property
    def dense(self) -> list[str]:
        """Names of all dense values."""
        return [*self.raw, *(f"{self.raw[i]}_missing" for i in self.flagged)]

    def _known(self, names: Sequence[str]) -> list[str]:
        """Return the names without that of the price, where it is not read."""
        return [name for name in names if self.price or name != PRICE]

    def scaled_number(self, place: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the z-scores of a numeric profile column; NaN stays."""
        scaled = (values - self.number_mean[place]) / self.number_std[place]
        return scaled.astype(np.float32)

    def fitted(self, raw: NDArray[np.float32]) -> "FeatureSpec":
        """Return the spec with mean, deviation and bins of each column of ``raw`` [N, len(raw)].

        NaN is left out; a column without a value gets 0 and 1, a constant one deviation 1. What
        people typed counts up to :func:`~beauty_rec.measures.outliers.believable` limits. Edges
        are quantiles: of a value that many candidates share, several fall together.
        """
        known = ~np.isnan(raw)
        cut = self._believed(raw)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, cut, 0).sum(0, dtype=np.float64) / count
        square = np.where(known, np.square(cut - mean), 0).sum(0, dtype=np.float64) / count
        std = np.where(square > 1e-12, np.sqrt(square), 1.0)
        edges: list[list[float]] = []
        if self.dense_bins:
            shares = np.linspace(0, 1, self.dense_bins + 1)[1:-1]
            columns = (column[own] for column, own in zip(raw.T, known.T, strict=True))
            edges = [
                np.unique(np.quantile(column, shares)).tolist() if len(column) else []
                for column in columns
            ]
        return self.model_copy(update={"mean": mean.tolist(), "std": std.tolist(), "edges": edges})

    def _believed(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``raw``, cut where people typed a number; all else is counted."""
        limits = np.tile(np.array([-np.inf, np.inf], np.float32), (raw.shape[1], 1))
        for place, name in enumerate(self.raw):
            if name == PRICE or name.startswith(PROFILE):
                column = raw[:, place]
                limits[place] = believable(column[~np.isnan(column)])
        return np.clip(raw, *limits.T)

    @property
    def bin_rows(self) -> int:
        """How many bins all columns of :attr:`raw` have together, one more of each for NaN."""
        return len(self.edges) * (self.dense_bins + 1)

    def binned(self, raw: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the bin of each value of ``raw`` [N, len(raw)], below :attr:`bin_rows`.

        int64, ``[N, len(raw)]``, each column with bins of its own; ``[N, 0]`` without bins.
        """
        found = np.empty((len(raw), len(self.edges)), np.int64)
        for place, edges in enumerate(self.edges):
            column = raw[:, place]
            own = np.searchsorted(np.array(edges, np.float32), column, side="right") + 1
            found[:, place] = np.where(np.isnan(column), 0, own) + place * (self.dense_bins + 1)
        return found

    def standardise(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``raw`` z-scored, NaN as 0, with its flags: float32 [N, len(self.dense)].

        Raises:
            ValueError: the spec has no statistics yet.
        """
        if not self.mean:
            raise ValueError("the feature spec has no statistics; call fitted() first")
        missing = np.isnan(raw)
        mean, std = (np.array(column, dtype=np.float32) for column in (self.mean, self.std))
        scaled = np.clip((raw - mean) / std, -CLIP, CLIP)
        scaled[missing] = 0.0
        return np.concatenate([scaled, missing[:, self.flagged].astype(np.float32)], axis=1)

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_text_atomic(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "FeatureSpec":
        """Read what :meth:`save` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))


def _scales(
    profiles: pl.DataFrame | None, numbers: list[str], reviews: pl.DataFrame
) -> tuple[list[float], list[float]]:
    """Return mean and deviation of each number over the users of ``reviews``; 0 and 1 for none."""
    if profiles is None or not numbers:
        return [], []
    buyers = profiles.join(reviews.select("user_id").unique(), on="user_id", how="semi")
    numeric = [buyers[name].alias("value").cast(pl.Float64) for name in numbers]
    known = [values.drop_nulls().drop_nans() for values in numeric]
    known = [values.clip(*believable(values.to_numpy())) for values in known]
    means = [float(values.mean() or 0.0) for values in known]  # type: ignore[arg-type]
    deviations = [float(values.std() or 0.0) for values in known]  # type: ignore[arg-type]
    return means, [value if value > 1e-6 else 1.0 for value in deviations]
