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
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from beauty_rec.artifacts import (
    atomic_path,
    content_hash,
    file_hashes,
    hash_of_files,
    link_or_copy,
    sweep_drafts,
    write_text_atomic,
)
from beauty_rec.recommender.online.sets.manifest import PLACE_IN_TIME, Manifest, ManifestError
from beauty_rec.serving.published.kept import MANIFESTS, in_use, keep_manifest, sweep_manifests
from beauty_rec.verified import Verified

REMEDY = "run: beauty-rec run"
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
    created_at: str | None = None,
    measured: Mapping[str, str] | None = None,
) -> Manifest:
    """Make a set of ``parts`` below ``root`` and serve it from now on.

    Args:
        root: ``data/serving``.
        parts: name in the set → the file or folder to link. They are not written to later.
        indexes, facts, metrics: see :class:`Manifest`.
        keep: sets that stay, this one among them; older ones are deleted, but for those that an
            experiment or a release speaks of.
        trial: asks the set in a folder; what it raises keeps the set from being served.
        created_at: of the newest set, whose models this one has and whose place it takes; None:
            it is a set of now.
        measured: see :class:`Manifest`; None: nothing is known of it.

    Raises:
        FileNotFoundError: a part does not exist.
    """
    files = {name: file_hashes(path) for name, path in sorted(parts.items())}
    hashes = {name: hash_of_files(found) for name, found in files.items()}
    given = {"parts": hashes, "indexes": dict(indexes), "facts": dict(facts), "format": FORMAT}
    name = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / VERSIONS / name
    made = not folder.exists() or fault_of_set(folder, hashes, content_hash) is not None
    if made:
        with atomic_path(folder) as draft:  # a damaged set of the same content makes room
            for part, path in parts.items():
                _link(path, draft / part)
        verified = Verified.below(root.parent)
        for part, path in parts.items():  # a link is a change, too, but not of the content
            verified.wrote(path, files[part])
            verified.wrote(folder / part, files[part])
    newest = None
    with suppress(FileNotFoundError, ManifestError):
        newest = read_manifest(root)
    takes_its_place = newest is not None and (created_at is not None or newest.set == name)
    manifest = Manifest(
        format=FORMAT,
        set=name,
        created_at=created_at or datetime.now(UTC).isoformat(timespec="seconds"),
        parts=hashes,
        indexes=dict(indexes),
        facts=dict(facts),
        metrics=dict(metrics),
        measured=dict(measured or {}),
        before=newest and (newest.before if takes_its_place else newest.set),
    )
    try:
        trial(folder, manifest)
    except BaseException:
        if made:
            shutil.rmtree(folder)
        raise
    sweep_drafts(root / VERSIONS)
    os.utime(folder)  # the newest set is the one that was published last
    if newest is not None:  # which an older program may have published
        keep_manifest(root, newest)
    keep_manifest(root, manifest)
    write_text_atomic(root / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    _drop_old(root, keep)
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
            f"{path} is missing: nothing is served yet; {REMEDY} "
            "(or beauty-rec run --select serving_manifest --force)"
        )
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ManifestError(f"{path} is no manifest ({said}); {REMEDY}") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}); {REMEDY}") from error
    if manifest.format != FORMAT:
        raise ManifestError(
            f"{path} has format {manifest.format}, this program reads {FORMAT}; {REMEDY}"
        )
    return manifest


def known_sets(root: Path) -> list[Manifest]:
    """Return the manifests of all sets that are kept, the latest published first.

    From the newest on, each names the one before it, whatever the clock said; the sets of older
    versions, which name none, follow by their dates. The newest is one of them, also where an
    older version published it and kept no manifest.
    """
    name: str | None = None
    with suppress(FileNotFoundError, ManifestError):
        name = read_manifest(root).set
    found: dict[str, tuple[str, int, Manifest]] = {}
    for path in (*(root / MANIFESTS).glob("*.json"), root / MANIFEST):
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
            at = (root / VERSIONS / manifest.set).stat().st_mtime_ns
            found[manifest.set] = (manifest.created_at, at, manifest)
        except (OSError, ValidationError):  # swept in this moment, or not one of ours
            continue
    ordered: list[Manifest] = []
    while name in found:
        ordered.append(found.pop(name)[-1])
        name = ordered[-1].before
    others = sorted(found.values(), key=lambda each: each[:2], reverse=True)
    return [*ordered, *(one for *_, one in others)]


def set_folder(root: Path, manifest: Manifest) -> Path:
    """Return the set's folder, after holding every part against the manifest.

    Raises:
        ManifestError: a part is missing or was changed; the message names it and the remedy.
    """
    folder = root / VERSIONS / manifest.set
    fault = fault_of_set(folder, manifest.parts, Verified.below(root.parent).content_hash)
    if fault is not None:
        raise ManifestError(f"{fault}, although {root / MANIFEST} names it; {REMEDY}")
    return folder


def published_part(root: Path, part: str) -> Path | None:
    """Return a part of the served set; None unless it is there as it was published."""
    try:
        manifest = read_manifest(root)
    except (FileNotFoundError, ManifestError):
        return None
    path = root / VERSIONS / manifest.set / part
    wanted = manifest.parts.get(part)
    return path if path.exists() and content_hash(path) == wanted else None


def fault_of_set(
    folder: Path, parts: Mapping[str, str], hash_of: Callable[[Path], str]
) -> str | None:
    """Return which part of a set is missing, or is not the version that is wanted, or None.

    Args:
        folder: of the set.
        parts: as in :class:`Manifest`.
        hash_of: the content hash of a path; one that was computed before will do.
    """
    for name, wanted in parts.items():
        path = folder / name
        if not path.exists():
            return f"{path} is missing"
        if hash_of(path) != wanted:
            return f"{path} is not the version that was published"
    return None


def fault(root: Path, published: Mapping[str, Any], verified: Verified) -> str | None:
    """Return what keeps the set below ``root`` from being served as it was published, or None.

    Args:
        root: ``data/serving``.
        published: the manifest that was published, as a document.
        verified: content hashes that were computed before.
    """
    try:
        manifest = read_manifest(root)
    except FileNotFoundError:
        return f"{root / MANIFEST} is missing"
    except ManifestError as error:
        return str(error).partition("; ")[0]
    if manifest.model_dump(mode="json", exclude=set(PLACE_IN_TIME)) != published:
        return f"{root / MANIFEST} is not what was published"
    return fault_of_set(root / VERSIONS / manifest.set, manifest.parts, verified.content_hash)


def _link(source: Path, target: Path) -> None:
    """Link a file, or a folder's files (hidden ones left out), to ``target``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir()
        for file in source.iterdir():
            if not file.name.startswith("."):
                _link(file, target / file.name)
        return
    link_or_copy(source, target)


def _drop_old(root: Path, keep: int) -> None:
    """Delete all but the latest sets. A server that still reads one keeps its open files."""
    folders = [path for path in (root / VERSIONS).iterdir() if not path.name.startswith(".")]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    place = {manifest.set: number for number, manifest in enumerate(known_sets(root))}
    folders.sort(key=lambda path: place.get(path.name, len(place)))
    used = in_use(root)
    for old in folders[keep:]:
        if old.name not in used:
            shutil.rmtree(old, ignore_errors=True)
    sweep_manifests(root, {path.name for path in folders if path.exists()})
