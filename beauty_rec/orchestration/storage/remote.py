"""The artifact store: a folder, or a place that workers without a common disk can reach.

Remote artifacts are single objects, since those alone are replaced atomically everywhere: a folder
travels as one ``.tar``. What a worker fetched is kept in its data folder until it changes.
"""

import hashlib
import shutil
import tarfile
from pathlib import Path
from typing import Any

from upath import UPath

from beauty_rec.artifacts import atomic_path

TAR = ".tar"


def is_local(path: UPath | Path) -> bool:
    """Tell whether a path lies on this machine's file system."""
    return not isinstance(path, UPath) or path.protocol in ("", "file", "local")


def upload(local: Path, target: UPath) -> None:
    """Put a local file or folder at a remote ``target``, in one object."""
    if not local.is_dir():
        target.fs.put_file(str(local), target.path)
        return
    packed = local.with_name(local.name + TAR)
    try:
        with tarfile.open(packed, "w") as archive:
            archive.add(local, arcname=".")
        target.fs.put_file(str(packed), target.path + TAR)
    finally:
        packed.unlink(missing_ok=True)


def fetch(source: UPath, cache: Path, limit_bytes: float) -> Path:
    """Return a local copy of a remote artifact, fetched unless the one here is the same.

    Args:
        source: of the artifact, as given to :func:`upload`.
        cache: local folder of fetched artifacts; shared by the processes of a machine.
        limit_bytes: copies used longest ago are deleted beyond it.

    Raises:
        FileNotFoundError: there is no such artifact.
    """
    fs, name = source.fs, source.path
    packed = not fs.exists(name) or fs.isdir(name)
    if packed:
        name += TAR
        if not fs.exists(name):
            raise FileNotFoundError(str(source))
    local = cache / _stamp(fs.info(name)) / source.name
    if not local.exists():
        with atomic_path(local) as draft:
            if packed:
                archive = draft.with_name(draft.name + TAR)
                fs.get_file(name, str(archive))
                draft.mkdir()
                with tarfile.open(archive) as opened:
                    opened.extractall(draft, filter="data")
                archive.unlink()
            else:
                fs.get_file(name, str(draft))
    local.parent.touch()
    _make_room(cache, local.parent, limit_bytes)
    return local


def _stamp(info: dict[str, Any]) -> str:
    """Return a name for one state of an object: what its store says of it."""
    facts = [str(info.get(k)) for k in ("name", "size", "ETag", "etag", "mtime", "created")]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:24]


def _make_room(cache: Path, keep: Path, limit_bytes: float) -> None:
    folders = sorted(cache.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    used = 0
    for folder in folders:
        used += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if used > limit_bytes and folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
