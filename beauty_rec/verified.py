"""Content hashes that need not be computed again, since nothing touched the files."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from beauty_rec.artifacts import file_hashes, files_of, hash_of_files, write_text_atomic

_KEEPS: ContextVar[bool] = ContextVar("keeps", default=True)


class Verified:
    """Content hashes that were computed before, by what the file system says of the files.

    A file whose size, times and number are as they were when it was read is not read again. Kept
    in a file, which processes share; it may be lost, and need not be writable.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory

    @classmethod
    def below(cls, data_dir: Path) -> "Verified":
        """Return that of a data folder."""
        return cls(data_dir.absolute() / "cache" / "verified.json")

    def file_hashes(self, path: Path) -> dict[str, str]:
        """Return :func:`~beauty_rec.artifacts.file_hashes`, reading only what has changed."""
        stamp = file_stamp(path)
        known = self._known().get(str(path.absolute()))
        match known:
            case [str(found), dict(hashes)] if found == stamp:
                return dict(hashes)
        hashes = file_hashes(path)
        self._keep(str(path.absolute()), [stamp, hashes])
        return hashes

    def content_hash(self, path: Path) -> str:
        """Return :func:`~beauty_rec.artifacts.content_hash`, reading only what has changed."""
        return hash_of_files(self.file_hashes(path))

    def wrote(self, path: Path, hashes: dict[str, str]) -> None:
        """Keep the hashes of a file or folder that was written just now."""
        self._keep(str(path.absolute()), [file_stamp(path), hashes])

    def holds(self, path: Path, stamp: str) -> bool:
        """Tell whether a path that is no artifact was found to be right in this state."""
        return bool(self._known().get(str(path)) == stamp)

    def found_right(self, path: Path, stamp: str) -> None:
        """Keep that a path that is no artifact is right in this state."""
        self._keep(str(path), stamp)

    def _known(self) -> dict[str, Any]:
        try:
            known = json.loads(self._memory.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return known if isinstance(known, dict) else {}

    def _keep(self, name: str, found: list[Any] | str) -> None:
        if not keeps():
            return
        known = {path: kept for path, kept in self._known().items() if _exists(path)}
        with suppress(OSError):
            write_text_atomic(self._memory, json.dumps({**known, name: found}))


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # no name of a file
        return False


def keeps() -> bool:
    """Whether what is found may be kept; see :func:`nothing_kept`."""
    return _KEEPS.get()


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Within it hashes are known, and computed, but none is kept: for what may write nothing."""
    token = _KEEPS.set(False)
    try:
        yield
    finally:
        _KEEPS.reset(token)


def file_stamp(path: Path) -> str:
    """Return 32 hex digits of what the file system says of a file, or of a folder's files."""
    digest = hashlib.sha256()
    for name, file in files_of(path).items():
        found = file.stat()
        times = (found.st_mtime_ns, found.st_ctime_ns)
        digest.update(f"{name}\0{found.st_size} {times} {found.st_ino}\0".encode())
    return digest.hexdigest()[:32]
