"""What a refresh has not built anew, and that still knows users who are forgotten."""

from pathlib import Path

import dagster as dg
import polars as pl

from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.corpus.forgotten_record import record
from beauty_rec.corpus.intake.given import taken_path
from beauty_rec.orchestration.storage.holdings import Holdings
from beauty_rec.orchestration.storage.io_managers import path_in_store
from beauty_rec.orchestration.storage.store import ArtifactStore

LISTS = path_in_store("frames", "user_lists", None)


def drop_forgotten(definitions: dg.Definitions) -> None:
    """Take users who are forgotten out of published sets, and of what is built after these.

    A night whose set is refused leaves both as they were.

    Raises:
        ManifestError: the newest set cannot answer without them.
    """
    held = Holdings.of(definitions)
    if held is None:
        return
    data_dir = held.settings.data_dir
    forgotten = Forgotten.load(taken_path(data_dir, "forgotten"))
    if len(forgotten):
        # With torch and all that answers: not for a run that has nobody to forget.
        from beauty_rec.serving.lists import drop_kept_lists
        from beauty_rec.serving.state.forgetting import drop_sets

        drop_sets(held.settings, forgotten)
        drop_kept_lists(data_dir, forgotten)
        _drop_lists(held.resources["store"], data_dir, forgotten)


def _drop_lists(store: ArtifactStore, data_dir: Path, forgotten: Forgotten) -> None:
    path = store.get(LISTS)
    if path is None:
        return
    lists = pl.read_parquet(path, glob=False)
    rows = forgotten.counts(lists["user_id"])
    if not rows:
        return
    draft = store.draft("user_lists.parquet")
    forgotten.left(lists, time=None).write_parquet(draft, compression="zstd")
    store.keep(draft, LISTS)  # not what was recorded, so it is built anew once there is a set
    draft.unlink()
    record(data_dir, forgotten, "user_lists", rows)
