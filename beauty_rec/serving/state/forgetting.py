"""Published sets that still know a forgotten user."""

import shutil
from pathlib import Path

import polars as pl

from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.corpus.forgotten_record import record
from beauty_rec.recommender.online.sets.parts import EVENTS, PROFILES, SAMPLES
from beauty_rec.serving.published.manifest import MANIFEST, VERSIONS, read_manifest


def drop_sets(data_dir: Path, forgotten: Forgotten) -> list[str]:
    """Delete the published sets that know a forgotten user, but not the served one.

    Returns:
        Names of the sets that were deleted.
    """
    root = data_dir / "serving"
    if not len(forgotten) or not (root / MANIFEST).exists():
        return []
    served = read_manifest(root).set
    dropped = []
    for folder in sorted((root / VERSIONS).iterdir()):
        if folder.name == served or folder.name.startswith("."):
            continue
        rows = _known(folder, forgotten)
        if rows:
            record(data_dir, forgotten, f"set {folder.name}", rows)
            shutil.rmtree(folder)
            dropped.append(folder.name)
    return dropped


def _known(folder: Path, forgotten: Forgotten) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in (EVENTS, PROFILES, SAMPLES):
        if not (folder / part).exists():
            continue
        frame = pl.read_parquet(folder / part, glob=False)
        gone = frame.join(forgotten.left(frame), on=frame.columns, how="anti", nulls_equal=True)
        for digest, rows in forgotten.counts(gone["user_id"]).items():
            found[digest] = found.get(digest, 0) + rows
    return found
