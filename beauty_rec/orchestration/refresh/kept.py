"""What a refresh may leave as it is although its data changed: models, and what is told of them."""

from collections.abc import Set
from dataclasses import dataclass

from beauty_rec.settings import Measure, Train

TRAININGS = frozenset(
    {"training_pairs", "text_retriever", "item_tower", "past_items", "user_tower", "reranker"}
)
"""Models, and what is made for their training alone."""
EXAMPLES = frozenset({"training_pairs"})
"""What one model alone reads: without newer ones it is of a piece with all the others."""
BASELINES = frozenset({"base_embeddings"})
"""What trainings and measurements alone read."""
MEASURES = BASELINES | {
    "retrieval_candidates",
    "retrieval_metrics",
    "user_candidates",
    "recommendations",
    "ranking_metrics",
}
"""Answers to the events of the splits, their metrics, and what they are held against."""


@dataclass(frozen=True)
class Stale:
    """Why an asset (and split) has to be built.

    Attributes:
        reason: in words.
        by_data: for changed inputs alone.
        changed: names of these inputs.
    """

    reason: str
    by_data: bool
    changed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Kept:
    """Names of the assets that are left as they are while only their data changed.

    Attributes:
        trainings: unless a model that they go on from is among what changed.
        measures: unless a model, or another of the measures, is among what changed, or what is
            made of them is made anew: see :mod:`.anew`.
        followed: names of the models and of all measures but baselines.
        always: these are made anew though they are fresh.
        force: so is all that is not to be left as it is.
    """

    trainings: frozenset[str] = frozenset()
    measures: frozenset[str] = frozenset()
    followed: frozenset[str] = frozenset()
    always: frozenset[str] = frozenset()
    force: bool = False

    @classmethod
    def of(
        cls,
        train: Train,
        measure: Measure,
        *,
        force: bool = False,
        trainings: frozenset[str] = TRAININGS,
        measures: frozenset[str] = MEASURES,
    ) -> "Kept":
        """Return what a refresh leaves that trains, measures and forces so."""
        return cls(
            trainings if train == "never" else frozenset(),
            measures if measure == "never" else frozenset(),
            trainings | (measures - BASELINES),
            trainings if train == "always" else frozenset(),
            force,
        )

    def keeps(self, name: str, changed: Set[str]) -> bool:
        """Tell whether an asset stays as it is though the assets ``changed`` are above it.

        >>> night = Kept.of("never", "never")
        >>> night.keeps("user_tower", {"item_vectors"}), night.keeps("item_index", {"raw_items"})
        (True, False)
        >>> [night.keeps("reranker", {name}) for name in ("user_candidates", "user_tower")]
        [True, False]
        >>> [night.keeps("ranking_metrics", {name}) for name in ("raw_items", "reranker")]
        [True, False]
        >>> night.keeps("base_embeddings", {"merged_items"})
        True
        """
        if name in self.measures:
            return not changed & self.followed
        return name in self.trainings and not changed & (self.trainings - EXAMPLES)

    def forces(self, name: str) -> bool:
        """Tell whether an asset is made anew though it is fresh.

        >>> Kept.of("never", "stale", force=True).forces("reranker")
        False
        """
        kept = name in self.trainings or name in self.measures
        return name in self.always or (self.force and not kept)

    def why(self, name: str) -> str:
        """Return what an asset is that stays as it is."""
        if name in BASELINES:
            return "kept, as nothing that is made anew reads it"
        return f"kept as it was {'measured' if name in self.measures else 'trained'}"


NOTHING = Kept()
