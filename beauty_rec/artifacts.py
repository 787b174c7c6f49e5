"""How artifacts stand on disk: atomic writes, content hashes, vectors.

Every write goes to a temporary name beside its target and is renamed at the end, so a reader
sees the old artifact or the new one, never half of either.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it becomes ``target``.

    The caller makes a file or a folder there. A folder that ``target`` already names is replaced:
    the old one is moved aside, then deleted. On an error nothing is left behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Keep the suffix last: writers choose a format by it (numpy appends ".npy" otherwise).
    draft = target.with_name(f".{target.stem}.{os.getpid()}.draft{target.suffix}")
    _remove(draft)
    try:
        yield draft
        if target.is_dir():
            old = target.with_name(f".{target.name}.{os.getpid()}.old")
            _remove(old)
            target.rename(old)
            draft.rename(target)
            _remove(old)
        else:
            draft.replace(target)
    finally:
        _remove(draft)


def write_text_atomic(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(target) as draft:
        draft.write_text(text, encoding="utf-8")


def content_hash(path: Path) -> str:
    """Return the SHA-256 (32 hex digits of it) of a file, or of a folder's names and files.

    Hidden files of a folder do not count.

    Raises:
        FileNotFoundError: ``path`` does not exist.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            name = file.relative_to(path)
            if not any(part.startswith(".") for part in name.parts):
                digest.update(f"{name.as_posix()}\0{content_hash(file)}\0".encode())
    else:
        with path.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:32]


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
        """Read what :meth:`save` wrote; the matrix is memory-mapped, read-only."""
        ids = pl.read_parquet(folder / "ids.parquet", glob=False)["id"].to_list()
        return cls(ids, np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
