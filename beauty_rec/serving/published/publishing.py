"""From a run's artifacts to a served set."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from beauty_rec.artifacts import write_rows
from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.corpus.intake.given import contents_of
from beauty_rec.recommender.online.sets.manifest import Manifest
from beauty_rec.recommender.online.sets.parts import CARDS, EVENTS, ITEM_INDEX, PROFILES, SAMPLES
from beauty_rec.recommender.online.sets.trial import try_out
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.cards import item_cards, sample_users, user_events
from beauty_rec.serving.published.manifest import VERSIONS, publish, set_folder
from beauty_rec.serving.published.release import announce_rename, end_rename
from beauty_rec.settings import EncoderSettings, ServeSettings

PERSONAL = {EVENTS: "timestamp", PROFILES: None, SAMPLES: None}
"""Parts of a set with ids of users: frames with a column ``user_id``, and that of the time."""


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
    measured: Mapping[str, str] | None = None,
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
        measured: as ``metrics``.

    Raises:
        ManifestError: the set cannot be read, or cannot answer.
    """
    ids = pl.read_parquet(artifacts[ITEM_INDEX] / "ids.parquet", glob=False)["id"].to_list()
    cards = item_cards(ids, frames.items, frames.attributes, frames.merged, frames.keywords)
    contents = frames.items.select("parent_asin", content=pl.Series(contents_of(frames.items)))
    cards = cards.join(contents, on="parent_asin", how="left", maintain_order="left")
    if frames.hidden:
        cards = cards.with_columns(hidden=pl.col("parent_asin").is_in(list(frames.hidden)))
    events = user_events(frames.reviews)
    made = {
        CARDS: cards,
        EVENTS: events,
        SAMPLES: sample_users(events, frames.profiles, cards, settings.sample_users),
        PROFILES: frames.profiles,
    }
    with _written(root, made) as own:
        return publish(
            root, {**artifacts, **own}, indexes, facts, metrics, settings.keep_sets,
            _trial(settings, encoder), measured=measured,
        )  # fmt: skip


def publish_without(
    root: Path,
    manifest: Manifest,
    forgotten: Forgotten,
    settings: ServeSettings,
    encoder: EncoderSettings,
) -> Manifest:
    """Publish the newest set anew without users who are forgotten, and return its manifest.

    It is as old as the set that it replaces, which stays beside it, and takes its place in a
    release.

    Args:
        root, settings, encoder: as in :func:`publish_run`.
        manifest: of the newest set.
        forgotten: who is left out.

    Raises:
        ManifestError: the set is damaged.
    """
    folder = set_folder(root, manifest)
    left = {
        name: forgotten.left(pl.read_parquet(folder / name, glob=False), time=time)
        for name, time in PERSONAL.items()
    }
    trial = _trial(settings, encoder)

    def tried(draft: Path, made: Manifest) -> None:
        trial(draft, made)
        # Before the manifest changes, so that no moment, and no kill, ends a rollback.
        announce_rename(root, manifest.set, made.set)

    with _written(root, left) as own:
        made = publish(
            root, {**{name: folder / name for name in manifest.parts}, **own},
            manifest.indexes, manifest.facts, manifest.metrics,
            len(list((root / VERSIONS).iterdir())) + 1,  # no other one makes room for it
            tried, manifest.created_at, manifest.measured,
        )  # fmt: skip
    end_rename(root)
    return made


def _trial(settings: ServeSettings, encoder: EncoderSettings) -> Callable[[Path, Manifest], None]:
    """Return what loads a set and asks it once."""

    def trial(folder: Path, manifest: Manifest) -> None:
        on_cpu = encoder.model_copy(update={"device": "cpu"})
        try_out(Snapshot.load(folder, manifest, on_cpu), settings)

    return trial


@contextmanager
def _written(root: Path, frames: Mapping[str, pl.DataFrame]) -> Iterator[dict[str, Path]]:
    """Yield files of frames by name, beside the sets, so that links of them can be made."""
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=root))
    try:
        for name, frame in frames.items():
            write_rows(frame, draft / name)
        yield {name: draft / name for name in frames}
    finally:
        shutil.rmtree(draft)
