"""ChromaDB, one folder a version, and a pointer to the one that is served.

Versions are built by :mod:`.build`, each in a folder of its own, and served by rewriting
``current.json``, which is atomic. What is served is held against its seal when it is opened.

With ``text_index.url`` the vectors of a version are a collection of that server, beside those of
other versions; the folder then holds the pointer and what is said of the version.

Items of one and the same vector share one entry: an HNSW graph falls apart when thousands of its
nodes lie on one point, as the items of a catalogue with bare titles do.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from beauty_rec.artifacts import ODD_JSON
from beauty_rec.search.chroma import seal
from beauty_rec.search.protocol import IndexDamagedError, IndexVersion, SearchResult

REMEDY = "run: beauty-rec run (or beauty-rec run --select text_index --force)"
COLLECTION = "items"
POINTER = "current.json"
SHARED = "shared.json"


class ChromaIndex:
    """A served or freshly built version. Close it when done, so that its files are let go."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"no index at {folder}; {REMEDY}")
        self._client = open_client(folder, url)
        name = collection_name(folder, url)
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


def current_version(root: Path) -> IndexVersion | None:
    """Return the served version; None when nothing was published yet.

    Raises:
        IndexDamagedError: the pointer cannot be read.
    """
    pointer = root / POINTER
    if not pointer.exists():
        return None
    try:
        return IndexVersion(**json.loads(pointer.read_text(encoding="utf-8")))
    except ODD_JSON as error:
        raise IndexDamagedError(f"{pointer} is damaged ({error}); {REMEDY}") from error


def fault(root: Path, url: str | None = None) -> str | None:
    """Return what of the served version is missing or damaged, or None.

    Of a collection on a server only the number of its entries is looked at; of a server that is
    away nothing is said.
    """
    try:
        served = current_version(root)
    except IndexDamagedError as error:
        return str(error).removesuffix(f"; {REMEDY}")
    if served is None:
        return f"{root / POINTER} is missing"
    folder = root / served.version
    if not folder.is_dir():
        return f"{folder} is missing"
    if (found := seal.fault(folder)) is not None or url is None:
        return found
    from chromadb.errors import NotFoundError
    from httpx import TransportError

    try:
        with ChromaIndex(folder, url) as index:
            rows = index.count()
    except NotFoundError:
        return f"{url} has no collection of version {served.version}"
    except (TransportError, OSError, ValueError):  # as it says that it cannot connect
        return None
    return None if rows == served.rows else f"{url} holds {rows} items of {served.rows}"


@contextmanager
def open_current(root: Path, url: str | None = None) -> Iterator[ChromaIndex]:
    """Yield the served index; with ``url``, its vectors are on that server.

    Raises:
        FileNotFoundError: nothing was published yet; the message names the remedy.
        IndexDamagedError: it is not what was built; the message names the file and the remedy.
    """
    served = current_version(root)
    if served is not None and (found := fault(root, url)) is not None:
        raise IndexDamagedError(f"{found}; {REMEDY}")
    folder = root / (served.version if served else "nothing-published")
    with ChromaIndex(folder, url) as index:
        yield index


def collection_name(folder: Path, url: str | None) -> str:
    """Return the name of a version's collection: on a server all versions stand side by side."""
    return COLLECTION if url is None else f"{COLLECTION}-{folder.name}"


def open_client(folder: Path, url: str | None = None) -> Any:
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
