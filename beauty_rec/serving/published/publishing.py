"""From a run's artifacts to a served set."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from beauty_rec.recommender.online.sets.manifest import Manifest
from beauty_rec.recommender.online.sets.parts import CARDS, EVENTS, ITEM_INDEX, PROFILES, SAMPLES
from beauty_rec.recommender.online.sets.trial import try_out
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.cards import item_cards, sample_users, user_events
from beauty_rec.serving.published.manifest import publish
from beauty_rec.settings import EncoderSettings, ServeSettings


@dataclass(frozen=True)
class Frames:
    """What the set's cards and users are made of; ``keywords`` are those of train.

    ``hidden``: ids of items that are never shown.
    """

    reviews: pl.DataFrame
    profiles: pl.DataFrame
    items: pl.DataFrame
    attributes: pl.DataFrame
    merged: pl.DataFrame
    keywords: pl.DataFrame
    hidden: frozenset[str] = frozenset()


def publish_run(
    root: Path,
    artifacts: Mapping[str, Path],
    frames: Frames,
    indexes: Mapping[str, dict[str, Any]],
    facts: Mapping[str, Any],
    metrics: Mapping[str, float],
    settings: ServeSettings,
    encoder: EncoderSettings,
) -> Manifest:
    """Make the cards and users of a set, publish it below ``root``, and return its manifest.

    It is loaded and asked once before it is published.

    Args:
        root: ``data/serving``.
        artifacts: name in the set → folder or file; the names of :mod:`.models`.
        frames: see :class:`Frames`.
        indexes, facts, metrics: as in :func:`~beauty_rec.serving.published.manifest.publish`.
        settings: how many sample users, how many sets are kept.
        encoder: of the texts; here it runs on the CPU.

    Raises:
        ManifestError: the set cannot be read, or cannot answer.
    """

    def trial(folder: Path, manifest: Manifest) -> None:
        on_cpu = encoder.model_copy(update={"device": "cpu"})
        try_out(Snapshot.load(folder, manifest, on_cpu), settings)

    ids = pl.read_parquet(artifacts[ITEM_INDEX] / "ids.parquet", glob=False)["id"].to_list()
    cards = item_cards(ids, frames.items, frames.attributes, frames.merged, frames.keywords)
    if frames.hidden:
        cards = cards.with_columns(hidden=pl.col("parent_asin").is_in(list(frames.hidden)))
    events = user_events(frames.reviews)
    made = {
        CARDS: cards,
        EVENTS: events,
        SAMPLES: sample_users(events, frames.profiles, cards, settings.sample_users),
        PROFILES: frames.profiles,
    }
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=root))  # beside it, so that links work
    try:
        for name, frame in made.items():
            frame.write_parquet(draft / name, compression="zstd")
        own = {name: draft / name for name in made}
        return publish(
            root, {**artifacts, **own}, indexes, facts, metrics, settings.keep_sets, trial
        )
    finally:
        shutil.rmtree(draft)
