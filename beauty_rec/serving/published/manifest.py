"""The served set: an immutable folder of all that a request needs, and the manifest that names it.

``versions/<set>/`` holds hard links of the pipeline's artifacts (copies where linking fails), so a
later run that replaces them, or fails half-way, leaves the set as it is. ``manifest.json`` is
written last, atomically; whoever reads it finds one set, whole.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from beauty_rec.artifacts import atomic_path, content_hash, write_text_atomic
from beauty_rec.recommender.online.manifest import Manifest, ManifestError

FORMAT = 1
MANIFEST = "manifest.json"
VERSIONS = "versions"


def publish(
    root: Path,
    parts: Mapping[str, Path],
    indexes: Mapping[str, dict[str, Any]],
    facts: Mapping[str, Any],
    metrics: Mapping[str, float],
    keep: int = 2,
    trial: Callable[[Path, Manifest], None] = lambda folder, manifest: None,
) -> Manifest:
    """Make a set of ``parts`` below ``root`` and serve it from now on.

    Args:
        root: ``data/serving``.
        parts: name in the set → the file or folder to link. They are not written to later.
        indexes, facts, metrics: see :class:`Manifest`.
        keep: sets that stay, this one among them; older ones are deleted.
        trial: asks the set in a folder; what it raises keeps the set from being served.

    Raises:
        FileNotFoundError: a part does not exist.
    """
    hashes = {name: content_hash(path) for name, path in sorted(parts.items())}
    given = {"parts": hashes, "indexes": dict(indexes), "facts": dict(facts), "format": FORMAT}
    name = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / VERSIONS / name
    made = not folder.exists()
    if made:
        with atomic_path(folder) as draft:
            for part, path in parts.items():
                _link(path, draft / part)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(
        format=FORMAT,
        set=name,
        created_at=now,
        parts=hashes,
        indexes=dict(indexes),
        facts=dict(facts),
        metrics=dict(metrics),
    )
    try:
        trial(folder, manifest)
    except BaseException:
        if made:
            shutil.rmtree(folder)
        raise
    os.utime(folder)  # the newest set is the one that was published last
    write_text_atomic(root / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    _drop_old(root, name, keep)
    return manifest


def read_manifest(root: Path) -> Manifest:
    """Return what is served.

    Raises:
        FileNotFoundError: nothing was published yet; the message names the remedy.
        ManifestError: the file is not a manifest of this format.
    """
    path = root / MANIFEST
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: nothing is served yet; run: "
            "beauty-rec run (or beauty-rec run --select serving_manifest --force)"
        )
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ManifestError(f"{path} is no manifest: {error}") from error
    if manifest.format != FORMAT:
        raise ManifestError(
            f"{path} has format {manifest.format}, this program reads {FORMAT}; run: "
            "beauty-rec run --select serving_manifest --force"
        )
    return manifest


def set_folder(root: Path, manifest: Manifest) -> Path:
    """Return the set's folder, after holding every part against the manifest.

    Raises:
        ManifestError: a part is missing or was changed.
    """
    folder = root / VERSIONS / manifest.set
    for name, wanted in manifest.parts.items():
        path = folder / name
        if not path.exists():
            raise ManifestError(f"{path} is missing, although {root / MANIFEST} names it")
        if content_hash(path) != wanted:
            raise ManifestError(f"{path} is not the version that {root / MANIFEST} names")
    return folder


def _link(source: Path, target: Path) -> None:
    """Link a file, or a folder's files (hidden ones left out), to ``target``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir()
        for file in source.iterdir():
            if not file.name.startswith("."):
                _link(file, target / file.name)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _drop_old(root: Path, served: str, keep: int) -> None:
    """Delete all but the latest sets. A server that still reads one keeps its open files."""
    folders = [path for path in (root / VERSIONS).iterdir() if not path.name.startswith(".")]
    folders.sort(key=lambda path: (path.name == served, path.stat().st_mtime), reverse=True)
    for old in folders[keep:]:
        shutil.rmtree(old, ignore_errors=True)
