"""ChromaDB, one folder a version, and a pointer to the one that is served.

A version is built in a folder of its own (a changed copy of the one before, when little changed),
verified, and then served by rewriting ``current.json``, which is atomic. Readers that hold the
version before keep it: it is deleted when the version after next is published.

With ``text_index.url`` the vectors of a version are a collection of that server, beside those of
other versions; the folder then holds the pointer and what is said of the version.

Items of one and the same vector share one entry: an HNSW graph falls apart when thousands of its
nodes lie on one point, as the items of a catalogue with bare titles do.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from beauty_rec.artifacts import Vectors, write_text_atomic
from beauty_rec.search.chroma.changes import Entries, copy_version, difference
from beauty_rec.search.exact import ExactIndex
from beauty_rec.search.protocol import (
    IndexBuildError,
    IndexVersion,
    SearchResult,
    recall_against_exact,
)
from beauty_rec.settings import TextIndexSettings

COLLECTION = "items"
POINTER = "current.json"
SHARED = "shared.json"
VERIFICATION_QUERIES = 200
RECALL_AT = 100


class ChromaIndex:
    """A served or freshly built version. Close it when done, so that its files are let go."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(
                f"no index at {folder}; run: beauty-rec run --select text_index --force"
            )
        self._client = _open_client(folder, url)
        name = _collection(folder, url)
        self._collection = self._client.get_collection(name, embedding_function=None)
        # Entry id -> all items of that vector, where there are several.
        self._shared: dict[str, list[str]] = json.loads((folder / SHARED).read_text("utf-8"))

    def __enter__(self) -> "ChromaIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._client.close()

    def count(self) -> int:
        """Return the number of items."""
        extra = sum(len(members) - 1 for members in self._shared.values())
        found: int = self._collection.count() + extra
        return found

    def ids(self) -> list[str]:
        """Return the ids of all items, in no order."""
        return self._expand(self._collection.get(include=[])["ids"])

    def search(self, queries: NDArray[np.float32], k: int) -> SearchResult:
        """See :class:`~beauty_rec.search.protocol.VectorIndex`; vectors are unit length."""
        k = min(k, self.count())
        if k == 0 or len(queries) == 0:
            return SearchResult([[] for _ in queries], np.empty((len(queries), k), np.float32))
        answer = self._collection.query(
            query_embeddings=np.ascontiguousarray(queries, dtype=np.float32),
            n_results=min(k, self._collection.count()),
            include=["distances"],
        )
        ids = [self._expand(row)[:k] for row in answer["ids"]]
        scores = [
            np.repeat(1 - np.asarray(distances, dtype=np.float32), self._sizes(row))[:k]
            for row, distances in zip(answer["ids"], answer["distances"], strict=True)
        ]
        return SearchResult(ids, np.stack(scores))

    def _expand(self, entries: list[str]) -> list[str]:
        return [item for entry in entries for item in self._shared.get(entry, (entry,))]

    def _sizes(self, entries: list[str]) -> list[int]:
        return [len(self._shared.get(entry, (entry,))) for entry in entries]


def build_index(
    root: Path, vectors: Vectors, version: str, settings: TextIndexSettings
) -> IndexVersion:
    """Build, verify and publish a version of the text index below ``root``.

    Args:
        root: the folder of all versions.
        vectors: L2-normalised item vectors, float32 ``[N, D]``.
        version: a name for this content; a half-built folder of that name is replaced.
        settings: HNSW parameters and the recall to reach.

    Raises:
        IndexBuildError: ids are lost or doubled, or recall@100 against exact search is below
            ``settings.min_recall``; what was served before is served on.
    """
    served = current_version(root)
    keep = {version, *([served.version] if served else [])}
    folder = root / version
    is_served = served is not None and served.version == version
    # A collection on a server cannot be copied, so it is written anew.
    before = root / served.version if served and settings.url is None else None
    if not is_served and not _write_changes(before, folder, vectors, settings):
        _drop(folder, settings.url)
        _write(folder, vectors, settings)
    with ChromaIndex(folder, settings.url) as index:
        built = IndexVersion(
            version, index.count(), vectors.matrix.shape[1], _verify(index, vectors, settings)
        )
    write_text_atomic(root / POINTER, json.dumps(asdict(built), indent=1) + "\n")
    for old in root.iterdir():
        if old.is_dir() and old.name not in keep:
            _drop(old, settings.url)
    return built


def current_version(root: Path) -> IndexVersion | None:
    """Return the served version; None when nothing was published yet."""
    pointer = root / POINTER
    if not pointer.exists():
        return None
    return IndexVersion(**json.loads(pointer.read_text(encoding="utf-8")))


@contextmanager
def open_current(root: Path, url: str | None = None) -> Iterator[ChromaIndex]:
    """Yield the served index; with ``url``, its vectors are on that server.

    Raises:
        FileNotFoundError: nothing was published yet; the message names the remedy.
    """
    served = current_version(root)
    folder = root / (served.version if served else "nothing-published")
    with ChromaIndex(folder, url) as index:
        yield index


def _write_changes(
    before: Path | None, folder: Path, vectors: Vectors, settings: TextIndexSettings
) -> bool:
    """Make the version from a copy of the one before; return False where that does not do."""
    known = Entries.load(before) if before is not None else None
    if before is None or known is None:
        return False
    rows, shared = _distinct(vectors)
    change = difference(known, Entries.of(vectors, rows, settings), rows)
    if change is None:
        return False
    copy_version(before, folder)
    client = _open_client(folder)
    collection = client.get_collection(COLLECTION, embedding_function=None)
    batch = client.get_max_batch_size()
    for start in range(0, len(change.deletes), batch):
        collection.delete(ids=change.deletes[start : start + batch])
    for start in range(0, len(change.upserts), batch):
        part = change.upserts[start : start + batch]
        collection.upsert(
            ids=[vectors.ids[row] for row in part], embeddings=np.array(vectors.matrix[part])
        )
    client.close()
    (folder / SHARED).write_text(json.dumps(shared), encoding="utf-8")
    change.entries.save(folder)
    try:
        with ChromaIndex(folder) as index:
            _verify(index, vectors, settings)
    except IndexBuildError:  # a graph that was changed too often: build it anew
        return False
    return True


def _write(folder: Path, vectors: Vectors, settings: TextIndexSettings) -> None:
    folder.mkdir(parents=True)
    client = _open_client(folder, settings.url)
    collection = client.create_collection(
        _collection(folder, settings.url),
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
    first: dict[bytes, int] = {}
    members: dict[int, list[str]] = {}
    for row, name in enumerate(vectors.ids):
        members.setdefault(first.setdefault(vectors.matrix[row].tobytes(), row), []).append(name)
    shared = {vectors.ids[row]: names for row, names in members.items() if len(names) > 1}
    return list(members), shared


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
        client, name = _open_client(folder, url), _collection(folder, url)
        if name in {found.name for found in client.list_collections()}:
            client.delete_collection(name)


def _collection(folder: Path, url: str | None) -> str:
    """Return the name of a version's collection: on a server all versions stand side by side."""
    return COLLECTION if url is None else f"{COLLECTION}-{folder.name}"


def _open_client(folder: Path, url: str | None = None) -> Any:
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    settings = ChromaSettings(anonymized_telemetry=False)
    if url is None:
        return chromadb.PersistentClient(str(folder), settings=settings)
    parts = urlsplit(url)
    encrypted = parts.scheme == "https"
    return chromadb.HttpClient(
        parts.hostname or "",
        parts.port or (443 if encrypted else 80),
        ssl=encrypted,
        settings=settings,
    )
