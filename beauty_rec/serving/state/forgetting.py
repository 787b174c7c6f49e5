"""Published sets, and what else a refresh leaves as it was, that still know a forgotten user."""

import shutil
from pathlib import Path

import polars as pl

from beauty_rec.artifacts import atomic_path, content_hash
from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.corpus.forgotten_record import record
from beauty_rec.recommender.online.sets.manifest import Manifest, ManifestError
from beauty_rec.serving.published.kept import in_use, keep_manifest
from beauty_rec.serving.published.manifest import MANIFEST, VERSIONS, read_manifest, set_folder
from beauty_rec.serving.published.publishing import PERSONAL, publish_without
from beauty_rec.serving.published.release import UnknownSet, manifest_of
from beauty_rec.settings import Settings


def drop_sets(settings: Settings, forgotten: Forgotten) -> list[str]:
    """Delete the published sets that know a forgotten user.

    The newest one is published anew without the user before: where the set of a night is refused,
    that of the night before stays. Of a set that an experiment or a release speaks of only the
    user is deleted.

    Returns:
        Names of the sets that were deleted.

    Raises:
        ManifestError: the newest set cannot answer without the user.
    """
    data_dir, root = settings.data_dir, settings.data_dir / "serving"
    if not len(forgotten) or not (root / MANIFEST).exists():
        return []
    newest = read_manifest(root)
    if _is_whole(root, newest) and _known(root / VERSIONS / newest.set, forgotten):
        newest = publish_without(root, newest, forgotten, settings.serve, settings.encoder)
    served, used = newest.set, in_use(root)
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


def _is_whole(root: Path, manifest: Manifest) -> bool:
    """Whether a set is as it was published; one that is not is built anew by the next run."""
    try:
        set_folder(root, manifest)
    except ManifestError:
        return False
    return True


def _is_cleared(root: Path, name: str, forgotten: Forgotten) -> bool:
    """Take forgotten users out of a set; return whether it can be served as it is then."""
    try:
        manifest = manifest_of(root, name)
    except UnknownSet:
        return False
    parts = dict(manifest.parts)
    for part, time in PERSONAL.items():
        path = root / VERSIONS / name / part
        if part in parts and path.exists():
            frame = forgotten.left(pl.read_parquet(path, glob=False), time=time)
            with atomic_path(path) as draft:  # other sets' links of it stay as they are
                frame.write_parquet(draft, compression="zstd")
            parts[part] = content_hash(path)
    keep_manifest(root, manifest.model_copy(update={"parts": parts}))
    return True


def _known(folder: Path, forgotten: Forgotten) -> dict[str, int]:
    found: dict[str, int] = {}
    for part, time in PERSONAL.items():
        if not (folder / part).exists():
            continue
        frame = pl.read_parquet(folder / part, glob=False)
        left = forgotten.left(frame, time=time)
        gone = frame.join(left, on=frame.columns, how="anti", nulls_equal=True)
        for digest, rows in forgotten.counts(gone["user_id"]).items():
            found[digest] = found.get(digest, 0) + rows
    return found
