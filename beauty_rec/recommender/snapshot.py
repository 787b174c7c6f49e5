"""All that answers come from at one moment: a set, and what was told since.

A world does not change. A new item, a new event or a new set makes another one, which takes its
place in one assignment; a batch of requests keeps the world that it began with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.ranking.features.build import FeatureBuilder
from beauty_rec.recommender.catalogue import Catalogue
from beauty_rec.recommender.manifest import Manifest, ManifestError
from beauty_rec.recommender.models import Models
from beauty_rec.recommender.parts import CARDS, EVENTS, ITEM_EMBEDDINGS, PROFILES, SAMPLES
from beauty_rec.recommender.people import Past, People, together
from beauty_rec.settings import EncoderSettings
from beauty_rec.towers.users.item_matrix import aligned


@dataclass(frozen=True)
class World:
    """``told``: events of users that came while serving, by user."""

    manifest: Manifest
    models: Models
    catalogue: Catalogue
    builder: FeatureBuilder
    people: People
    told: Mapping[str, Sequence[Past]]
    samples: pl.DataFrame

    @classmethod
    def load(cls, folder: Path, manifest: Manifest, settings: EncoderSettings) -> "World":
        """Read the set in ``folder``, which ``manifest`` describes.

        Raises:
            ManifestError: a part is missing, changed, or does not fit the others.
        """
        models = Models.load(folder, manifest, settings)
        items = models.tower.items
        cards = pl.read_parquet(folder / CARDS, glob=False)
        if cards["parent_asin"].to_list() != items.ids:
            raise ManifestError(f"set {manifest.set}: its cards are not of its item matrix")
        matrix = np.asarray(items.matrix)
        if not items.text:  # a tower that reads no texts; the search does
            texts = aligned(Vectors.load(folder / ITEM_EMBEDDINGS), items.ids)
            matrix = np.concatenate([matrix, texts], axis=1)
        catalogue = Catalogue.of(
            items.ids, matrix, items.tower, items.tower + items.statistics, cards
        )
        # The tower reads the catalogue's copy, so that the mapped file can leave memory.
        width = items.matrix.shape[1]
        copied = catalogue.matrix.numpy()[: len(items.ids), :width]
        models.tower.items = replace(items, vectors=Vectors(items.ids, copied))
        return cls(
            manifest,
            models,
            catalogue,
            models.builder,
            People.of(
                pl.read_parquet(folder / EVENTS, glob=False),
                pl.read_parquet(folder / PROFILES, glob=False),
            ),
            {},
            pl.read_parquet(folder / SAMPLES, glob=False),
        )

    def past(self, user_id: str, before_ms: int | None) -> list[Past] | None:
        """Return a user's events, oldest first; None for a user that nothing is known of."""
        known = self.people.events(user_id, before_ms)
        new = [e for e in self.told.get(user_id, ()) if before_ms is None or e.time_ms < before_ms]
        return None if known is None and not new else together([known or [], new])

    def with_event(self, user_id: str, event: Past) -> "World":
        """Return the world in which the user also did ``event``."""
        return replace(
            self, told={**self.told, user_id: together([self.told.get(user_id, ()), [event]])}
        )

    def with_items(
        self,
        vectors: NDArray[np.float32],
        sparse: NDArray[np.int32],
        cards: Sequence[Mapping[str, object]],
    ) -> "World":
        """Return the world that has these items too; see Catalogue and ItemTable."""
        table = self.builder.table.with_items(
            [str(card["parent_asin"]) for card in cards],
            sparse,
            np.array([card["price"] for card in cards], dtype=np.float32),
        )
        return replace(
            self,
            catalogue=self.catalogue.with_items(vectors, cards),
            builder=replace(self.builder, table=table),
        )
