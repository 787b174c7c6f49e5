"""How artifacts stand on disk: atomic writes, content hashes, vectors.

Every write goes to a temporary name beside its target, reaches the disk, and is renamed at the end,
so a reader sees the old artifact or the new one, never half of either, after a power cut too.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

ROW_GROUP = 65_536
"""Rows of Parquet that are read, or left out, together."""
ODD_JSON = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading JSON of any shape, depth and size may raise."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it becomes ``target``.

    The caller makes a file or a folder there. What ``target`` already names is replaced: where it
    is a folder, or becomes one, the old one is moved aside, then deleted. On an error nothing is
    left behind; what a killed process leaves, :func:`sweep_drafts` removes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Keep the suffix last: writers choose a format by it (numpy appends ".npy" otherwise).
    draft = target.with_name(f".{target.stem}.{os.getpid()}.draft{target.suffix}")
    _remove(draft)
    try:
        yield draft
        _settle(draft)
        if target.is_dir() or (draft.is_dir() and os.path.lexists(target)):
            old = target.with_name(f".{target.name}.{os.getpid()}.old")
            _remove(old)
            target.rename(old)
            draft.rename(target)
            _remove(old)
        else:
            draft.replace(target)
        sync(target.parent)
    finally:
        _remove(draft)


_DRAFT = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.(?P<what>draft|old)(\.[^.]*)?")


def sweep_drafts(folder: Path) -> list[Path]:
    """Remove what killed processes left of :func:`atomic_path` in ``folder``; return what it was.

    What had been moved aside, and whose successor was never put in its place, is put back.
    Call it before this process writes there.
    """
    swept = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = _DRAFT.fullmatch(path.name)
        if found is None or _lives(int(found["pid"])):
            continue
        swept.append(path)
        target = path.with_name(found["name"])
        if found["what"] == "old" and not target.exists():
            path.rename(target)
        else:
            _remove(path)
    return swept


def sync(path: Path) -> None:
    """Have a file, or a folder's list of names, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # a file system that cannot: nothing is gained by failing
        pass
    finally:
        os.close(descriptor)


def _settle(draft: Path) -> None:
    """Give each file the mode that a new file has, and have everything reach the disk."""
    for path in (draft, *draft.rglob("*")) if draft.is_dir() else (draft,):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        if path.is_file() and mode & 0o077 == 0:  # as safetensors writes, whatever the umask
            path.chmod(_usual_mode(draft.parent))
        sync(path)


def _usual_mode(folder: Path) -> int:
    probe = folder / f".mode.{os.getpid()}.draft"
    os.close(os.open(probe, os.O_CREAT | os.O_WRONLY, 0o666))
    try:
        return probe.stat().st_mode & 0o777
    finally:
        probe.unlink()


def _lives(pid: int) -> bool:
    """Tell whether another process has this number; our own may have been that of a killed one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def write_text_atomic(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(target) as draft:
        draft.write_text(text, encoding="utf-8")


def write_rows(
    rows: pl.DataFrame | pl.LazyFrame, target: Path, compression: Literal["zstd", "lz4"] = "zstd"
) -> None:
    """Write Parquet whose bytes, which are a version, tell of no pieces that a frame was made in.

    A lazy frame streams; its bytes follow the row groups of the files that it is read from.
    """
    whole = rows.rechunk().lazy() if isinstance(rows, pl.DataFrame) else rows
    whole.sink_parquet(
        target, compression=compression, row_group_size=ROW_GROUP, maintain_order=True
    )


def existing(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    return path if path.exists() else existing(path.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where it cannot have one."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def content_hash(path: Path) -> str:
    """Return the SHA-256 (32 hex digits of it) of a file, or of a folder's names and files.

    Hidden files of a folder do not count.

    Raises:
        FileNotFoundError: ``path`` does not exist.
    """
    return hash_of_files(file_hashes(path))


def text_hash(text: str) -> str:
    """Return :func:`content_hash` of a file that holds ``text``."""
    return hash_of_files({"": hashlib.sha256(text.encode()).hexdigest()[:32]})


def file_hashes(path: Path) -> dict[str, str]:
    """Return the hash of each file of a folder by its name in it; of a file, its own, by ``""``.

    Raises:
        FileNotFoundError: ``path`` does not exist.
        OSError: it is a pipe or a device, which a reader would wait for.
    """
    found = {}
    for name, file in files_of(path).items():
        if file.exists() and not file.is_file():
            raise OSError(errno.EINVAL, "is no file", str(file))
        digest = hashlib.sha256()
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
        found[name] = digest.hexdigest()[:32]
    return found


def hash_of_files(hashes: Mapping[str, str]) -> str:
    """Return the content hash of the file or folder whose :func:`file_hashes` these are."""
    if set(hashes) == {""}:
        return hashes[""]
    lines = "".join(f"{name}\0{digest}\0" for name, digest in hashes.items())
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def files_of(path: Path) -> dict[str, Path]:
    """Return the files below a folder, without hidden ones, by name; a file by ``""``."""
    if not path.is_dir():
        return {"": path}
    files = {f.relative_to(path): f for f in sorted(path.rglob("*")) if f.is_file()}
    shown = {n: f for n, f in files.items() if not any(p.startswith(".") for p in n.parts)}
    return {name.as_posix(): file for name, file in shown.items()}


@dataclass(frozen=True)
class Vectors:
    """Row ``i`` of ``matrix`` (float32 ``[N, D]``) is the vector of ``ids[i]``; ids are unique."""

    ids: list[str]
    matrix: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or len(self.ids) != len(self.matrix):
            raise ValueError(f"{len(self.ids)} ids for a matrix of shape {self.matrix.shape}")

    def save(self, folder: Path) -> None:
        """Write ``ids.parquet`` and ``vectors.npy`` into a new or empty ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"id": self.ids}, schema={"id": pl.String}).write_parquet(
            folder / "ids.parquet"
        )
        np.save(folder / "vectors.npy", np.ascontiguousarray(self.matrix, dtype=np.float32))

    @classmethod
    def load(cls, folder: Path) -> "Vectors":
        """Read what :meth:`save` wrote; the matrix is memory-mapped, read-only.

        Raises:
            ValueError: a vector is not finite.
        """
        ids = pl.read_parquet(folder / "ids.parquet", glob=False)["id"].to_list()
        path = folder / "vectors.npy"
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        check_finite(path, matrix)
        return cls(ids, matrix)


def check_finite(path: Path, array: NDArray[Any]) -> None:
    """Raise ValueError, which names ``path``, if ``array`` holds NaN or infinity."""
    # A sum in float64 is finite if and only if all of its float32 terms are; no copy is made.
    if array.dtype.kind == "f" and not np.isfinite(np.sum(array, dtype=np.float64)):
        raise ValueError(f"{path} holds NaN or infinity")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
