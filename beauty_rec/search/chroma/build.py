"""A new ChromaDB version: built aside, verified, sealed, and then served.

It is a changed copy of the one before, when little changed. Readers that hold the version before
keep it: it is deleted when the version after next is published. A version that is found damaged is
built anew aside and takes the place of the damaged one.
"""

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from beauty_rec.artifacts import Vectors, atomic_path, sweep_drafts, write_text_atomic
from beauty_rec.search.chroma import seal
from beauty_rec.search.chroma.changes import Entries, copy_version, difference
from beauty_rec.search.chroma.index import (
    COLLECTION,
    POINTER,
    SHARED,
    ChromaIndex,
    collection_name,
    current_version,
    fault,
    open_client,
)
from beauty_rec.search.exact import ExactIndex, distinct_rows
from beauty_rec.search.protocol import IndexBuildError, IndexVersion, recall_against_exact
from beauty_rec.settings import TextIndexSettings

LOG = logging.getLogger("beauty_rec.search")
VERIFICATION_QUERIES = 200
RECALL_AT = 100


def build_index(
    root: Path, vectors: Vectors, version: str, settings: TextIndexSettings
) -> IndexVersion:
    """Build, verify and publish a version of the text index below ``root``.

    Args:
        root: the folder of all versions.
        vectors: L2-normalised item vectors, float32 ``[N, D]``.
        version: a name for this content; a damaged version of that name is replaced.
        settings: HNSW parameters and the recall to reach.

    Raises:
        IndexBuildError: ids are lost or doubled, or recall@100 against exact search is below
            ``settings.min_recall``; what was served before is served on.
    """
    sweep_drafts(root)
    before = _intact_version(root, settings.url)
    folder = root / version
    built = None
    if before is not None and before.version == version:
        built = _still_good(folder, vectors, version, settings)
    if built is None:
        # A collection on a server cannot be copied, so it is written anew.
        copied = root / before.version if before and settings.url is None else None
        built = _build_aside(copied, folder, vectors, settings)
    write_text_atomic(root / POINTER, json.dumps(asdict(built), indent=1) + "\n")
    keep = {version, before.version if before else version}
    for old in root.iterdir():
        if old.is_dir() and old.name not in keep and not old.name.startswith("."):
            _drop(old, settings.url)
    return built


def _intact_version(root: Path, url: str | None) -> IndexVersion | None:
    """Return the served version if it is what was built."""
    found = fault(root, url)
    if found is None:
        return current_version(root)
    if (root / POINTER).exists():
        LOG.warning("%s; the text index is built anew", found)
    return None


def _still_good(
    folder: Path, vectors: Vectors, version: str, settings: TextIndexSettings
) -> IndexVersion | None:
    """Verify the served version; None where it no longer does."""
    try:
        with ChromaIndex(folder, settings.url) as index:
            return _described(index, vectors, version, settings)
    except IndexBuildError as error:
        LOG.warning("%s; the text index is built anew", error)
        return None


def _build_aside(
    copied: Path | None, folder: Path, vectors: Vectors, settings: TextIndexSettings
) -> IndexVersion:
    """Build and verify a version in a draft of ``folder``; then put it there."""
    if settings.url is not None:
        _drop(folder, settings.url)
        name = collection_name(folder, settings.url)
        _write(folder, vectors, settings, name)
        with ChromaIndex(folder, settings.url) as index:
            written = _described(index, vectors, folder.name, settings)
        seal.seal(folder)
        return written
    with atomic_path(folder) as draft:
        built = _changed_copy(copied, draft, vectors, folder.name, settings)
        if built is None:
            shutil.rmtree(draft, ignore_errors=True)
            _write(draft, vectors, settings, COLLECTION)
            with ChromaIndex(draft) as index:
                built = _described(index, vectors, folder.name, settings)
        seal.seal(draft)
    return built


def _described(
    index: ChromaIndex, vectors: Vectors, version: str, settings: TextIndexSettings
) -> IndexVersion:
    recall = _verify(index, vectors, settings)
    return IndexVersion(version, index.count(), vectors.matrix.shape[1], recall)


def _changed_copy(
    before: Path | None, folder: Path, vectors: Vectors, version: str, settings: TextIndexSettings
) -> IndexVersion | None:
    """Make the version from a copy of the one before; return None where that does not do."""
    known = Entries.load(before) if before is not None else None
    if before is None or known is None:
        return None
    rows, shared = _distinct(vectors)
    change = difference(known, Entries.of(vectors, rows, settings), rows)
    if change is None:
        return None
    copy_version(before, folder)
    client = open_client(folder)
    collection = client.get_collection(COLLECTION, embedding_function=None)
    batch = client.get_max_batch_size()
    for start in range(0, len(change.deletes), batch):
        collection.delete(ids=change.deletes[start : start + batch])
    for start in range(0, len(change.adds), batch):
        part = change.adds[start : start + batch]
        collection.add(
            ids=[vectors.ids[row] for row in part], embeddings=np.array(vectors.matrix[part])
        )
    client.close()
    (folder / SHARED).write_text(json.dumps(shared), encoding="utf-8")
    change.entries.save(folder)
    try:
        with ChromaIndex(folder) as index:
            return _described(index, vectors, version, settings)
    except IndexBuildError:  # a graph that was changed too often: build it anew
        return None


def _write(folder: Path, vectors: Vectors, settings: TextIndexSettings, name: str) -> None:
    folder.mkdir(parents=True)
    client = open_client(folder, settings.url)
    collection = client.create_collection(
        name,
        embedding_function=None,
        configuration={
            "hnsw": {
                "space": "cosine",
                "ef_construction": settings.ef_construction,
                "ef_search": settings.ef_search,
                "max_neighbors": settings.max_neighbors,
            }
        },
    )
    rows, shared = _distinct(vectors)
    (folder / SHARED).write_text(json.dumps(shared), encoding="utf-8")
    Entries.of(vectors, rows, settings).save(folder)
    batch = client.get_max_batch_size()
    with tqdm(total=len(rows), desc="index", unit="vector", disable=None) as progress:
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            collection.add(
                ids=[vectors.ids[row] for row in part], embeddings=np.array(vectors.matrix[part])
            )
            progress.update(len(part))
    client.close()


def _distinct(vectors: Vectors) -> tuple[list[int], dict[str, list[str]]]:
    """Return the first row of each distinct vector, and the items of those that several share."""
    first, kind = distinct_rows(vectors.matrix)
    shared: dict[str, list[str]] = {}
    for row in np.flatnonzero(np.bincount(kind)[kind] > 1).tolist():
        shared.setdefault(vectors.ids[first[kind[row]]], []).append(vectors.ids[row])
    return np.sort(first).tolist(), shared


def _verify(index: ChromaIndex, vectors: Vectors, settings: TextIndexSettings) -> float:
    if sorted(index.ids()) != sorted(vectors.ids):
        raise IndexBuildError(
            f"the new text index holds {index.count()} ids, but {len(vectors.ids)} were written"
        )
    step = max(1, len(vectors.ids) // VERIFICATION_QUERIES)
    queries = np.array(vectors.matrix[::step][:VERIFICATION_QUERIES])
    recall = recall_against_exact(index, ExactIndex(vectors), queries, RECALL_AT)
    if recall < settings.min_recall:
        raise IndexBuildError(
            f"recall@{RECALL_AT} of the new text index is {recall:.3f}, below text_index.min_recall"
            f" = {settings.min_recall}; raise text_index.ef_search or text_index.max_neighbors"
        )
    return recall


def _drop(folder: Path, url: str | None) -> None:
    """Delete a version that is not served, or what a killed build left of it."""
    shutil.rmtree(folder, ignore_errors=True)
    if url is not None:
        client, name = open_client(folder, url), collection_name(folder, url)
        if name in {found.name for found in client.list_collections()}:
            client.delete_collection(name)
