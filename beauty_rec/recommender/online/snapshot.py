"""All that answers come from at one moment: a set, and what came since.

A snapshot does not change. A new item, a new event or a new set makes another one, which takes its
place in one assignment; a batch of requests keeps the snapshot that it began with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.corpus.forgotten import NOBODY, Forgotten
from beauty_rec.recommender.online.people import Past, People, distinct, together
from beauty_rec.recommender.online.sets.manifest import Manifest, ManifestError
from beauty_rec.recommender.online.sets.models import Models
from beauty_rec.recommender.online.sets.parts import (
    CARDS,
    EVENTS,
    ITEM_EMBEDDINGS,
    PROFILES,
    SAMPLES,
    TEXT_RETRIEVER,
)
from beauty_rec.recommender.online.stock.catalogue import Catalogue
from beauty_rec.recommender.online.stock.nearest_ids import NearestIds
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.recommender.path import AnswerPath
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.settings import EncoderSettings


@dataclass(frozen=True)
class Snapshot:
    """All that answers come from.

    Attributes:
        since: events of users that came while serving, by user.
        nearest: finds the id that was meant where none is known.
        forgotten: who is nobody.
    """

    manifest: Manifest
    models: Models
    path: AnswerPath
    catalogue: Catalogue
    people: People
    since: Mapping[str, Sequence[Past]]
    samples: pl.DataFrame
    nearest: NearestIds
    forgotten: Forgotten = NOBODY

    @classmethod
    def load(
        cls,
        folder: Path,
        manifest: Manifest,
        settings: EncoderSettings,
        beside: "Snapshot | None" = None,
    ) -> "Snapshot":
        """Read the set in ``folder``, which ``manifest`` describes.

        Args:
            folder, manifest: of the set.
            settings: of the encoder.
            beside: a set that stays loaded; a text encoder that is the same is shared with it.

        Raises:
            ManifestError: parts do not fit one another.
        """
        same = beside and beside.manifest.parts.get(TEXT_RETRIEVER) == manifest.parts.get(
            TEXT_RETRIEVER
        )
        models = Models.load(folder, manifest, settings, beside.models if beside and same else None)
        items = models.tower.items
        cards = pl.read_parquet(folder / CARDS, glob=False)
        if cards["parent_asin"].to_list() != items.ids:
            raise ManifestError(f"set {manifest.set}: its cards are not of its item matrix")
        space = ItemSpace.of(items, Vectors.load(folder / ITEM_EMBEDDINGS))
        # The tower reads the space's copy, so that the mapped file can leave memory.
        copied = space.matrix.numpy()[:, : items.matrix.shape[1]]
        tower = replace(models.tower, items=replace(items, vectors=Vectors(items.ids, copied)))
        table = models.table
        attributes = table.sparse[table.rows(space.ids)]
        return cls(
            manifest,
            models,
            models.path(space, tower, reads_texts=manifest.facts.get("reads_texts", False)),
            Catalogue.of(cards, attributes, models.builder.vocabulary),
            People.of(
                pl.read_parquet(folder / EVENTS, glob=False),
                pl.read_parquet(folder / PROFILES, glob=False),
            ),
            {},
            pl.read_parquet(folder / SAMPLES, glob=False),
            NearestIds(space.ids),
        )

    @property
    def space(self) -> ItemSpace:
        """The items' vectors."""
        return self.path.space

    def unknown(self, parent_asin: str) -> str:
        """Return in words that there is no such item, and which one may have been meant."""
        like = self.nearest.find(parent_asin, self.space.ids)
        hint = "" if like is None else f"; the nearest known one is {like!r}"
        return f"no item {parent_asin!r}{hint}"

    def past(self, user_id: str, before_ms: int | None) -> list[Past] | None:
        """Return a user's events, oldest first; None for a user that nothing is known of."""
        known = self.people.events(user_id, before_ms)
        if known and (gone := self.forgotten.at(user_id)) is not None:
            known = [event for event in known if event.time_ms > gone] or None
        new = [e for e in self.since.get(user_id, ()) if before_ms is None or e.time_ms < before_ms]
        return None if known is None and not new else together([known or [], new])

    def has_left(self, user_id: str) -> bool:
        """Whether a user is forgotten and has done nothing since; of them no trace is kept."""
        return self.forgotten.at(user_id) is not None and self.past(user_id, None) is None

    def with_events(self, events: Mapping[str, Sequence[Past]]) -> "Snapshot":
        """Return the snapshot in which users, by id, also did ``events``."""
        new = {user: distinct([*self.since.get(user, ()), *done]) for user, done in events.items()}
        return replace(self, since={**self.since, **new})

    def with_past(self, user_id: str, past: Sequence[Past]) -> "Snapshot":
        """Return the snapshot in which a user has done ``past`` since, and nothing else."""
        others = {user: done for user, done in self.since.items() if user != user_id}
        return replace(self, since=others | ({user_id: list(past)} if past else {}))

    def profile(self, user_id: str) -> dict[str, Any]:
        """Return a user's profile, column → value; empty when there is none."""
        return {} if self.forgotten.at(user_id) is not None else self.people.profile(user_id)

    def state_of(self, parent_asin: str) -> dict[str, Any]:
        """Return whether an item is hidden and in stock, and its price, as they are answered."""
        said = {"parent_asin": parent_asin, "version": self.manifest.set}
        row = self.space.row_of.get(parent_asin)
        if row is None:  # it was given, and its vectors are not made yet
            return said
        card = self.catalogue.card(row)
        hidden = bool(self.catalogue.hidden[row])
        return {**said, "hidden": hidden, "in_stock": card["in_stock"], "price": card["price"]}

    def with_states(self, states: Mapping[str, ItemState]) -> "Snapshot":
        """Return the snapshot in which items are as ``states`` says, by id, and no other is."""
        row_of = self.space.row_of
        known = {row_of[name]: state for name, state in states.items() if name in row_of}
        return replace(self, catalogue=self.catalogue.with_states(known))

    def with_items(
        self,
        vectors: NDArray[np.float32],
        sparse: NDArray[np.int32],
        texts: Sequence[str],
        cards: Sequence[Mapping[str, object]],
    ) -> "Snapshot":
        """Return the snapshot that has these items too.

        Args:
            vectors: rows of the item matrix, float32 ``[M, W]``.
            sparse: int32 ``[M, S + R]``, ids of the vocabulary.
            texts: of the items, as the retrievers read them.
            cards: of the M items; ids are distinct.
        """
        names = [str(card["parent_asin"]) for card in cards]
        titles = [str(card["title"] or "") for card in cards]
        prices = np.array([card["price"] for card in cards], dtype=np.float32)
        old = [row for name in names if (row := self.space.row_of.get(name)) is not None]
        return replace(
            self,
            catalogue=self.catalogue.with_items(cards, old, sparse),
            path=self.path.with_items(names, vectors, texts, titles, sparse, prices),
        )
