"""How the assets [raw] take in a file, and what was given over the API beside it."""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import polars as pl

from beauty_rec.artifacts import atomic_path, content_hash, text_hash, write_rows
from beauty_rec.orchestration.catalogue.markdown import (
    frame_metadata,
    markdown_table,
    without_users,
)
from beauty_rec.orchestration.stage.partitions import encode_parts
from beauty_rec.orchestration.stage.stage import used_code_version
from beauty_rec.orchestration.storage.contents import side_product
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.row_cache import maker_of
from beauty_rec.settings import CorpusSettings, Settings

if TYPE_CHECKING:
    from beauty_rec.corpus.forgotten import Forgotten
    from beauty_rec.corpus.intake.kept_parts import KeptParts

ROWS, REFUSED = "rows", "refused"
"""Parts of the version of a raw asset."""


def ingest_file(
    context: dg.AssetExecutionContext,
    settings: Settings,
    store: ArtifactStore,
    kind: str,
    ingest: Callable[[Path, Path, Path, CorpusSettings], Any],
    empty: Mapping[str, Any],
) -> tuple[Path | pl.DataFrame, dict[str, int]]:
    """Run one of corpus.intake's functions; report its counts, examples and check.

    Without a file the result is a frame of no rows with the columns ``empty``.

    Returns:
        The rows, and of the others how many were refused for which reason.
    """
    name = context.asset_key.to_user_string()
    draft = store.draft(f"{name}.parquet")
    quarantine = settings.data_dir / "processed" / "quarantine" / f"{kind}.parquet"
    beside = f"processed/quarantine/{kind}.parquet"
    source = settings.inputs[kind]
    if source is None:
        quarantine.unlink(missing_ok=True)  # of a file that was named before
        store.drop(beside)
        return pl.DataFrame(schema=dict(empty)), {}
    intake = ingest(source, draft, quarantine, settings.corpus)
    _hide_excerpts(settings, quarantine)
    kept = store.keep(quarantine, beside)
    context.add_asset_metadata(side_product(quarantine, beside))
    context.add_asset_metadata(
        {
            **frame_metadata(name, pl.scan_parquet(draft, glob=False)),
            "rows_read": intake.rows,
            "rows_kept": intake.kept,
            "rows_duplicate": intake.duplicates,
            "rows_refused": intake.refused_rows,
            "share_refused": intake.refused_rows / max(1, intake.rows),
            "refused_by_reason": intake.refused,
            "quarantine": dg.MetadataValue.path(kept),
            "refused_examples": dg.MetadataValue.md(
                markdown_table(without_users(pl.read_parquet(quarantine, n_rows=8, glob=False)))
            ),
        }
    )
    return draft, dict(intake.refused)


def in_parts(
    context: dg.AssetExecutionContext,
    store: ArtifactStore,
    made: Path | pl.DataFrame,
    refused: Mapping[str, int],
) -> Path:
    """Return the file of an asset's rows; its version tells the rows from what was refused.

    So a row more that is refused makes another report, and nothing else.
    """
    name = context.asset_key.to_user_string()
    if isinstance(made, pl.DataFrame):
        context.add_asset_metadata(frame_metadata(name, made.lazy()))
        frame, made = made, store.draft(f"{name}.parquet")
        write_rows(frame, made)
    said = json.dumps(dict(refused), sort_keys=True)
    parts = {ROWS: content_hash(made), REFUSED: text_hash(said)}
    context.set_data_version(context.asset_key, dg.DataVersion(encode_parts(parts)))
    return made


def kept_parts(
    context: dg.AssetExecutionContext, settings: Settings, *, users: bool
) -> "KeptParts":
    """Return the blocks of the asset's file that its last run read; whether rows have users."""
    from beauty_rec.corpus.forgotten import NOBODY
    from beauty_rec.corpus.intake.kept_parts import KeptParts

    name = context.asset_key.to_user_string()
    folder = settings.data_dir / "cache" / name
    forgotten = _forgotten(settings) if users else NOBODY
    return KeptParts(folder, maker_of(used_code_version(context)), forgotten)


def frame_of(made: Path | pl.DataFrame) -> pl.DataFrame:
    return made if isinstance(made, pl.DataFrame) else pl.read_parquet(made, glob=False)


def taken_in(draft: Path | pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a draft that no artifact is made of as it is, and delete its file."""
    frame = frame_of(draft)
    if isinstance(draft, Path):
        draft.unlink()
    return frame


def given_rows(
    settings: Settings,
    store: ArtifactStore,
    kind: Literal["events", "items"],
    ingest: Callable[[Path, Path, Path, CorpusSettings], Any],
) -> pl.DataFrame | None:
    """Return what was given over the API, read as the files are; None where nothing was.

    Events of users who were forgotten since are left out.
    """
    from beauty_rec.corpus.intake.given import taken_path

    source = taken_path(settings.data_dir, kind)
    if not source.exists():
        return None
    with tempfile.TemporaryDirectory(prefix=".shop-", dir=settings.data_dir) as folder:
        draft = Path(folder) / "rows.parquet"
        ingest(source, draft, Path(folder) / "refused.parquet", settings.corpus)
        rows = pl.read_parquet(draft, glob=False)
    return rows if kind == "items" else _forgotten(settings).left(rows, time="timestamp")


def without_forgotten(
    context: dg.AssetExecutionContext,
    settings: Settings,
    made: Path | pl.DataFrame,
    *,
    time: str | None,
) -> Path | pl.DataFrame:
    """Return a file's rows of users who are not forgotten, and record the others' number.

    ``time``: the column that says when, as of :meth:`.Forgotten.left`. Files may be ahead of the
    clock, so what is dated a day after the forgetting may be from before.
    """
    from beauty_rec.corpus.forgotten_record import record
    from beauty_rec.corpus.times import CLOCK_SLACK_MS

    forgotten = _forgotten(settings)
    if not len(forgotten):
        return made
    frame = frame_of(made)
    left = forgotten.left(frame, time=time, slack_ms=CLOCK_SLACK_MS)
    if left.height == frame.height:
        record(settings.data_dir, forgotten, context.asset_key.to_user_string(), {})
        return made
    before, after = (forgotten.counts(part["user_id"]) for part in (frame, left))
    rows = {digest: count - after.get(digest, 0) for digest, count in before.items()}
    record(settings.data_dir, forgotten, context.asset_key.to_user_string(), rows)
    context.add_asset_metadata({"rows_forgotten": frame.height - left.height})
    if isinstance(made, Path):
        made.unlink()  # the draft
    return left


def _hide_excerpts(settings: Settings, quarantine: Path) -> None:
    """Take what forgotten users wrote out of the refused rows, whose number and reasons stay."""
    refused = pl.read_parquet(quarantine, glob=False)
    hidden = _forgotten(settings).without_excerpts(refused)
    if not hidden.equals(refused):
        with atomic_path(quarantine) as draft:
            write_rows(hidden, draft, "lz4")


def _forgotten(settings: Settings) -> "Forgotten":
    from beauty_rec.corpus.forgotten import Forgotten
    from beauty_rec.corpus.intake.given import taken_path

    return Forgotten.load(taken_path(settings.data_dir, "forgotten"))
