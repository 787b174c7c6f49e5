"""Published sets, and what else a refresh leaves as it was, that still know a forgotten user."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from beauty_rec.artifacts import atomic_path, content_hash, sweep_drafts
from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.corpus.forgotten_record import record
from beauty_rec.recommender.online.sets.manifest import Manifest, ManifestError
from beauty_rec.serving.published.kept import in_use, keep_manifest
from beauty_rec.serving.published.manifest import MANIFEST, VERSIONS, read_manifest, set_folder
from beauty_rec.serving.published.publishing import PERSONAL, publish_without
from beauty_rec.serving.published.release import UnknownSet, end_rename, manifest_of
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
    end_rename(root)  # of a call that was killed
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
    parts, folder = dict(manifest.parts), root / VERSIONS / name
    sweep_drafts(folder)
    with ExitStack() as drafts:
        for part, time in PERSONAL.items():
            path = folder / part
            if part not in parts or not path.exists():
                continue
            frame = pl.read_parquet(path, glob=False)
            left = forgotten.left(frame, time=time)
            if left.height < frame.height:  # other sets' links of the file stay as they are
                draft = drafts.enter_context(atomic_path(path))
                left.write_parquet(draft, compression="zstd")
                parts[part] = content_hash(draft)
        # Before the files are replaced: where a kill comes between, they still name the users, so
        # that the next call goes on.
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
