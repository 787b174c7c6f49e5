"""Vectors that were computed before for the same content: see :mod:`beauty_rec.row_cache`."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beauty_rec.artifacts import ODD_JSON, atomic_path, content_hash
from beauty_rec.row_cache import content_keys, drop, maker_of

CHUNK = 8_192
"""Vectors that are computed, and kept, together."""


def reuse_vectors(
    folder: Path,
    maker: str,
    keys: Sequence[str],
    compute: Callable[[Iterable[list[int]]], Iterable[NDArray[np.float32]]],
    chunk: int = CHUNK,
) -> tuple[NDArray[np.float32], int]:
    """Return the vector of each key and how many were computed.

    Chunks are kept as they come, so that a run that was killed goes on where it was. It computes
    the same chunks as one that was not, so that what depends on its company comes out the same.

    Args:
        folder: of the cache; afterwards it holds the vectors of ``keys`` and no others.
        maker: of the vectors; those of another maker are dropped.
        keys: of the rows.
        compute: chunks of rows (places in ``keys``) → float32 ``[len(rows), D]`` of each, in order;
            a chunk is empty only where there are no keys.
        chunk: rows of a chunk.
    """
    known, kept = _load_vectors(folder, maker)
    missing = [row for row, key in enumerate(keys) if key not in known]
    chunks = [missing[start : start + chunk] for start in range(0, len(missing), chunk)]
    if not chunks and kept is None:
        chunks = [[]]  # for the width of the vectors
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    parts = [unfinished / maker_of(maker, *(keys[row] for row in rows)) for rows in chunks]
    # A chunk's name stands for its keys.
    done = [_load_vectors(part, maker)[1] for part in parts]
    wanted = [rows for rows, found in zip(chunks, done, strict=True) if found is None]
    computed = iter(compute(wanted) if wanted else ())
    matrix: NDArray[np.float32] | None = None
    for rows, part, before in zip(chunks, parts, done, strict=True):
        found = next(computed) if before is None else before
        if before is None and len(chunks) > 1:
            _save_vectors(part, maker, [keys[row] for row in rows], found)
        if matrix is None:
            matrix = np.empty((len(keys), found.shape[1]), np.float32)
        matrix[rows] = found
    if matrix is None:
        assert kept is not None, "nothing to compute, so all was kept"
        matrix = np.empty((len(keys), kept.shape[1]), np.float32)
    places = [(row, known[key]) for row, key in enumerate(keys) if key in known]
    if places and kept is not None:
        rows_kept, at = np.array(places).T
        matrix[rows_kept] = kept[at]
    _save_vectors(folder, maker, keys, matrix)
    shutil.rmtree(unfinished, ignore_errors=True)
    return matrix, sum(len(rows) for rows in wanted)


def _save_vectors(
    folder: Path, maker: str, keys: Sequence[str], matrix: NDArray[np.float32]
) -> None:
    with atomic_path(folder) as draft:
        draft.mkdir()
        np.save(draft / "vectors.npy", matrix)
        document = {"maker": maker, "keys": list(keys)}
        check = _check(document, draft / "vectors.npy")
        (draft / "keys.json").write_text(json.dumps({**document, "check": check}))


def _load_vectors(folder: Path, maker: str) -> tuple[dict[str, int], NDArray[np.float32] | None]:
    if not folder.exists():
        return {}, None
    try:
        kept = json.loads((folder / "keys.json").read_text())
        if kept.pop("check") != _check(kept, folder / "vectors.npy"):
            raise ValueError("not what was written")
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, *ODD_JSON) as error:
        drop(folder, error)
        return {}, None
    if kept["maker"] != maker:
        return {}, None
    return {key: row for row, key in enumerate(kept["keys"])}, vectors


def _check(document: Mapping[str, object], vectors: Path) -> str:
    return content_keys([(sorted(document.items()), content_hash(vectors))])[0]
