"""A new version of a pgvector index: loaded and indexed aside, verified, then served.

Until the last step nothing that is served changes. A killed build leaves a table that the next
build drops.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from beauty_rec.artifacts import Vectors
from beauty_rec.search.exact import ExactIndex
from beauty_rec.search.pgvector.faults import fault, is_damage, row_checksum
from beauty_rec.search.pgvector.index import LARGEST_EF_SEARCH, NAME, PgVectorIndex
from beauty_rec.search.pgvector.rows import (
    MOST_DIMENSIONS,
    check_matrix,
    check_rows,
    copy_rows,
)
from beauty_rec.search.pgvector.tables import (
    Served,
    connect,
    drop,
    drop_unused,
    ensure_schema,
    free_table,
    keep_whitening,
    point_to,
    read_served,
)
from beauty_rec.search.pgvector.whitening import Whitening
from beauty_rec.search.protocol import (
    IndexBuildError,
    IndexVersion,
    SearchResult,
    recall_against_exact,
)
from beauty_rec.search.version import content_version
from beauty_rec.settings import ItemIndexSettings

LOG = logging.getLogger("beauty_rec.search")
VERIFICATION_QUERIES = 200
RECALL_AT = 100
BUILD_SETTINGS = {"type", "m", "ef_construction"}
"""Those that a table's content depends on; the others are of a search, or of how long it took."""
ASKED = 20 * VERIFICATION_QUERIES
"""Items that stand in for queries where none are given."""
PLAIN_BYTES = 7_000
"""Larger vectors do not fit a page beside the id, and have to live in TOAST."""


def item_index_version(vectors: Vectors, settings: ItemIndexSettings) -> str:
    """Return 16 hex digits that stand for all that a build of these would put into the table."""
    return content_version(vectors, settings, BUILD_SETTINGS)


def build_index(
    dsn: str,
    vectors: Vectors,
    version: str,
    settings: ItemIndexSettings,
    *,
    queries: NDArray[np.float32] | None = None,
    name: str = NAME,
) -> IndexVersion:
    """Build, verify and publish a version of the index ``name``.

    If ``version`` is served already and unchanged, it is only verified; if it is not what was
    built, it is built anew beside what is served. Two builders of one name take turns.

    Args:
        dsn: a database where the extension ``vector`` (0.8 or newer) is or can be made.
        vectors: float32 ``[N, D]``, of any length.
        version: stands for the content, as of :func:`item_index_version`; a-z and 0-9.
        settings: HNSW parameters, memory, the recall to reach, the grace period.
        queries: float32 ``[Q, D]`` like those that will be asked; by default some of the items.
            The graph is fitted to most of them, recall is measured with the others; of a few, both
            are of all.
        name: of the index.

    Raises:
        ValueError: the vectors cannot be stored; see ``check_rows``.
        IndexBuildError: rows are lost, or recall@100 against exact search is below
            ``settings.min_recall`` even at the largest ``ef_search``; what was served before is
            served on.
        RuntimeError: the server has no pgvector, or too old a one.
    """
    check_rows(vectors, settings.type)
    fitted, queries = _parted(_spread(vectors.matrix, ASKED) if queries is None else queries)
    with connect(dsn) as connection:
        ensure_schema(connection, name)
        drop_unused(connection, name, settings.grace_seconds)
        before = read_served(connection, name)
        table, built = None, None
        if before is not None and before.version.version == version:
            built = _still_good(dsn, connection, before, vectors, queries, settings, name)
            table = before.table if built is not None else None
        if table is None or built is None:
            table = free_table(connection, name, version)
            try:
                _load(connection, table, vectors, fitted, settings)
                built = _measured(connection, table, version, vectors, queries, settings, name)
            except Exception:
                if not connection.broken:
                    drop(connection, table)
                raise
        point_to(connection, name, table, built, row_checksum(connection, table)[1])
        drop_unused(connection, name, settings.grace_seconds)
    return built


def _spread(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    return np.array(rows[:: max(1, len(rows) // count)][:count])


def _parted(
    queries: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return those that the graph is fitted to and those that it is verified with."""
    if len(queries) < 2 * VERIFICATION_QUERIES:
        return queries, _spread(queries, VERIFICATION_QUERIES)
    step = len(queries) // VERIFICATION_QUERIES
    held = np.arange(0, len(queries), step)[:VERIFICATION_QUERIES]
    return np.delete(queries, held, axis=0), queries[held]


def _still_good(
    dsn: str,
    connection: psycopg.Connection[Any],
    served: Served,
    vectors: Vectors,
    queries: NDArray[np.float32],
    settings: ItemIndexSettings,
    name: str,
) -> IndexVersion | None:
    """Verify the served version; None where it is not what was built."""
    version = served.version.version
    if (found := fault(dsn, version, name=name)) is not None:
        LOG.warning("%s; it is built anew", found)
        return None
    try:
        return _measured(connection, served.table, version, vectors, queries, settings, name)
    except IndexBuildError as error:
        LOG.warning("%s; it is built anew", error)
    except psycopg.Error as error:
        if not is_damage(error):
            raise
        LOG.warning("table %s is damaged (%s); it is built anew", served.table, error)
    return None


def _measured(
    connection: psycopg.Connection[Any],
    table: str,
    version: str,
    vectors: Vectors,
    queries: NDArray[np.float32],
    settings: ItemIndexSettings,
    name: str,
) -> IndexVersion:
    found = IndexVersion(version, len(vectors.ids), vectors.matrix.shape[1], 1.0)
    index = PgVectorIndex(connection, table, found, settings, name=name)
    return _verify(index, vectors, queries, settings.min_recall)


def _load(
    connection: psycopg.Connection[Any],
    table: str,
    vectors: Vectors,
    fitted: NDArray[np.float32],
    settings: ItemIndexSettings,
) -> None:
    whitening = Whitening.of(fitted, vectors.matrix, MOST_DIMENSIONS[settings.type] - 1)
    workers = settings.build_workers
    if workers is None:
        workers = max(1, (os.cpu_count() or 1) - 1)  # beside the one that leads
    try:
        _create(connection, table, vectors, whitening, settings, workers)
    except psycopg.errors.DiskFull:
        # A parallel build needs maintenance_memory_mb of /dev/shm, of which containers have little.
        _create(connection, table, vectors, whitening, settings, 0)
    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))


def _create(
    connection: psycopg.Connection[Any],
    table: str,
    vectors: Vectors,
    whitening: Whitening,
    settings: ItemIndexSettings,
    workers: int,
) -> None:
    """Make the table in one transaction, which spares the write-ahead log on our own server."""
    target = sql.Identifier(table)
    widths = {"embedding": vectors.matrix.shape[1], "near": whitening.width}
    plain = sum(widths.values()) * (4 if settings.type == "vector" else 2) <= PLAIN_BYTES
    with connection.transaction(), connection.cursor() as cursor:
        for setting, value in {
            "maintenance_work_mem": f"{settings.maintenance_memory_mb}MB",
            "max_parallel_maintenance_workers": str(workers),
        }.items():
            cursor.execute("SELECT set_config(%s, %s, true)", [setting, value])
        cursor.execute(sql.SQL("CREATE TABLE {} (id text NOT NULL)").format(target))
        for name, width in widths.items():
            column = sql.Identifier(name)
            add = sql.SQL("ALTER TABLE {} ADD COLUMN {} {}({}) NOT NULL").format(
                target, column, sql.Identifier(settings.type), sql.Literal(width)
            )
            cursor.execute(add)
            if plain:
                store = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET STORAGE PLAIN")
                cursor.execute(store.format(target, column))
        copy_rows(cursor, target, vectors, _mapped(whitening, vectors, settings), settings.type)
        keep_whitening(connection, table, whitening.of_queries)
        cursor.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (id)").format(target))
        cursor.execute(
            sql.SQL(
                "CREATE INDEX ON {} USING hnsw (near {}) WITH (m = {}, ef_construction = {})"
            ).format(
                target,
                sql.Identifier(f"{settings.type}_ip_ops"),
                sql.Literal(settings.m),
                sql.Literal(settings.ef_construction),
            )
        )


def _mapped(
    whitening: Whitening, vectors: Vectors, settings: ItemIndexSettings
) -> Iterator[NDArray[np.float32]]:
    for block in whitening.items(vectors.matrix):
        check_matrix(block, settings.type, "fitted vectors")
        yield from block


class _Rescored:
    """Answers of ``index`` with the scores that the vectors really have."""

    def __init__(self, index: PgVectorIndex, vectors: Vectors) -> None:
        self._index = index
        self._matrix = vectors.matrix
        self._rows = {id_: row for row, id_ in enumerate(vectors.ids)}

    def count(self) -> int:
        return self._index.count()

    def search(self, queries: NDArray[np.float32], k: int) -> SearchResult:
        found = self._index.search(queries, k)
        scores = np.full(found.scores.shape, -np.inf, dtype=np.float32)
        for row, (ids, query) in enumerate(zip(found.ids, queries, strict=True)):
            places = list(dict.fromkeys(self._rows[id_] for id_ in ids))
            scores[row, : len(places)] = self._matrix[places] @ query
        return SearchResult(found.ids, scores)


def _verify(
    index: PgVectorIndex, vectors: Vectors, queries: NDArray[np.float32], least: float
) -> IndexVersion:
    """Return the version with the recall that it reaches, and the ``ef_search`` that this took."""
    rows = index.count()
    if rows != len(vectors.ids):
        raise IndexBuildError(
            f"the new item index holds {rows} rows, but {len(vectors.ids)} were written"
        )
    rescored, exact = _Rescored(index, vectors), ExactIndex(vectors)
    while (recall := recall_against_exact(rescored, exact, queries, RECALL_AT)) < least:
        if index.ef_search == LARGEST_EF_SEARCH:
            raise IndexBuildError(
                f"recall@{RECALL_AT} of the new item index is {recall:.3f} at the largest ef_search"
                f" ({LARGEST_EF_SEARCH:,}), below item_index.min_recall = {least}; raise"
                " item_index.m or ef_construction"
            )
        index.ef_search = min(2 * index.ef_search, LARGEST_EF_SEARCH)
    built = index.version
    return IndexVersion(built.version, rows, built.dimension, recall, index.ef_search)
