"""Published sets that still know a forgotten user."""

import shutil
from pathlib import Path

import polars as pl

from beauty_rec.artifacts import atomic_path, content_hash
from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.corpus.forgotten_record import record
from beauty_rec.recommender.online.sets.parts import EVENTS, PROFILES, SAMPLES
from beauty_rec.serving.published.kept import in_use, keep_manifest
from beauty_rec.serving.published.manifest import MANIFEST, VERSIONS, read_manifest
from beauty_rec.serving.published.release import UnknownSet, manifest_of

_PERSONAL = (EVENTS, PROFILES, SAMPLES)
"""Parts of a set with ids of users."""


def drop_sets(data_dir: Path, forgotten: Forgotten) -> list[str]:
    """Delete the published sets that know a forgotten user, but not the newest one.

    Of a set that an experiment or a release speaks of only the user is deleted.

    Returns:
        Names of the sets that were deleted.
    """
    root = data_dir / "serving"
    if not len(forgotten) or not (root / MANIFEST).exists():
        return []
    served, used = read_manifest(root).set, in_use(root)
    dropped = []
    for folder in sorted((root / VERSIONS).iterdir()):
        if folder.name == served or folder.name.startswith("."):
            continue
        rows = _known(folder, forgotten)
        if rows:
            record(data_dir, forgotten, f"set {folder.name}", rows)
            if folder.name in used and _is_cleared(root, folder.name, forgotten):
                continue
            shutil.rmtree(folder)
            dropped.append(folder.name)
    return dropped


def _is_cleared(root: Path, name: str, forgotten: Forgotten) -> bool:
    """Take forgotten users out of a set; return whether it can be served as it is then."""
    try:
        manifest = manifest_of(root, name)
    except UnknownSet:
        return False
    parts = dict(manifest.parts)
    for part in _PERSONAL:
        path = root / VERSIONS / name / part
        if part in parts and path.exists():
            frame = forgotten.left(pl.read_parquet(path, glob=False))
            with atomic_path(path) as draft:  # other sets' links of it stay as they are
                frame.write_parquet(draft, compression="zstd")
            parts[part] = content_hash(path)
    keep_manifest(root, manifest.model_copy(update={"parts": parts}))
    return True


def _known(folder: Path, forgotten: Forgotten) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in _PERSONAL:
        if not (folder / part).exists():
            continue
        frame = pl.read_parquet(folder / part, glob=False)
        gone = frame.join(forgotten.left(frame), on=frame.columns, how="anti", nulls_equal=True)
        for digest, rows in forgotten.counts(gone["user_id"]).items():
            found[digest] = found.get(digest, 0) + rows
    return found
