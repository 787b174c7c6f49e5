"""Content hashes that need not be computed again, since nothing touched the files."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from beauty_rec.artifacts import file_hashes, files_of, hash_of_files, write_text_atomic


class Verified:
    """Content hashes that were computed before, by what the file system says of the files.

    A file whose size, times and number are as they were when it was read is not read again. Kept
    in a file that may be lost, and that need not be writable.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            given = json.loads(memory.read_text(encoding="utf-8"))
            if isinstance(given, dict):
                self._known = given

    @classmethod
    def below(cls, data_dir: Path) -> "Verified":
        """Return that of a data folder."""
        return cls(data_dir.absolute() / "cache" / "verified.json")

    def file_hashes(self, path: Path) -> dict[str, str]:
        """Return :func:`file_hashes`, reading only what has changed."""
        name, stamp = str(path.absolute()), file_stamp(path)
        known = self._known.get(name)
        if known is not None and known[0] == stamp:
            return dict(known[1])
        return self._keep(path, stamp, file_hashes(path))

    def content_hash(self, path: Path) -> str:
        """Return :func:`content_hash`, reading only what has changed."""
        return hash_of_files(self.file_hashes(path))

    def wrote(self, path: Path, hashes: dict[str, str]) -> None:
        """Keep the hashes of a file or folder that was written just now."""
        self._keep(path, file_stamp(path), hashes)

    def holds(self, name: str, stamp: str) -> bool:
        """Tell whether something that is no artifact was found to be right in this state."""
        return bool(self._known.get(name) == stamp)

    def found_right(self, name: str, stamp: str) -> None:
        """Keep that something is right in this state."""
        self._known[name] = stamp
        self._save()

    def _keep(self, path: Path, stamp: str, hashes: dict[str, str]) -> dict[str, str]:
        self._known[str(path.absolute())] = [stamp, hashes]
        self._save()
        return hashes

    def _save(self) -> None:
        with suppress(OSError):
            write_text_atomic(self._memory, json.dumps(self._known))


def file_stamp(path: Path) -> str:
    """Return 32 hex digits of what the file system says of a file, or of a folder's files."""
    digest = hashlib.sha256()
    for name, file in files_of(path).items():
        found = file.stat()
        times = (found.st_mtime_ns, found.st_ctime_ns)
        digest.update(f"{name}\0{found.st_size} {times} {found.st_ino}\0".encode())
    return digest.hexdigest()[:32]
