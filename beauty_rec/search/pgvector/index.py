"""PostgreSQL with pgvector: search in the served version of an index.

>>> with open_current(dsn, settings) as index:  # doctest: +SKIP
...     index.search(user_vectors, 100, exclude=seen)

Versions are built by :mod:`beauty_rec.search.pgvector.build`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector import Vector
from pgvector.psycopg import register_vector
from psycopg import sql

from beauty_rec.search.near_ties import SLACK
from beauty_rec.search.pgvector.rows import check_matrix
from beauty_rec.search.pgvector.tables import connect, read_served, read_whitening
from beauty_rec.search.pgvector.whitening import whitened
from beauty_rec.search.protocol import IndexVersion, SearchResult
from beauty_rec.settings import ItemIndexSettings

NAME = "items"
LARGEST_EF_SEARCH = 1_000

_BY_INDEX = """
    (SELECT id, embedding FROM {table} WHERE id <> ALL (%(exclude)s::text[])
    ORDER BY near <#> %(near)b::vector::{type} LIMIT %(k)s::int + {slack}) AS nearest
"""
_BY_READING_ALL = """
    {table} WHERE id <> ALL (%(exclude)s::text[])
"""
_SEARCH = """
    SELECT id, -(embedding <#> %(query)b::vector::{type}) AS score
    FROM {rows} ORDER BY score DESC LIMIT %(k)s::int
"""


class PgVectorIndex:
    """One version's table over one connection, which the caller closes.

    The graph is over other coordinates, ``near``: see :mod:`~beauty_rec.search.pgvector.whitening`.
    What it finds is ordered by the vectors themselves.
    It stays with its version when a newer one is served; after the grace period its table is
    dropped, and searching says so. The scores of ``halfvec`` are those of the rounded vectors.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        table: str,
        version: IndexVersion,
        settings: ItemIndexSettings,
        *,
        name: str = NAME,
    ) -> None:
        self.version = version
        self.ef_search = min(max(settings.ef_search, version.ef_search or 0), LARGEST_EF_SEARCH)
        self._connection = connection
        self._settings = settings
        self._name = name
        self._table = sql.Identifier(table)
        register_vector(connection)
        self._of_queries = read_whitening(connection, table)
        parts = {"table": self._table, "type": sql.Identifier(settings.type), "slack": SLACK}
        self._by_index, self._exactly = (
            sql.SQL(_SEARCH).format(rows=sql.SQL(rows).format(**parts), **parts)
            for rows in (_BY_INDEX, _BY_READING_ALL)
        )
        connection.execute("SELECT '[0]'::vector")  # loads pgvector, so that it checks these:
        for setting, value in {
            "hnsw.iterative_scan": "strict_order",
            "hnsw.max_scan_tuples": str(settings.max_scan_tuples),
            "hnsw.scan_mem_multiplier": "100",  # of 4 MB, an upper bound
            # A plan for any k and any exclusions would be one without the index.
            "plan_cache_mode": "force_custom_plan",
        }.items():
            connection.execute("SELECT set_config(%s, %s, false)", [setting, value])

    def count(self) -> int:
        """Return the number of vectors."""
        return int(self._fetch(sql.SQL("SELECT count(*) FROM {}").format(self._table), {})[0][0])

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        exclude: list[list[str]] | None = None,
    ) -> SearchResult:
        """Return the ``k`` best items for each query among those that are not excluded.

        Args:
            queries: float32 ``[Q, D]``, of any length.
            k: at least 0.
            exclude: for each query, ids to leave out.

        Returns:
            Inner products, descending. Where fewer than ``k`` items are left for a query, its
            list of ids is shorter, and its row of scores is filled with ``-inf`` up to the longest
            list.

        Raises:
            ValueError: wrong dimension, NaN, or not as many exclusions as queries.
            LookupError: a newer version is served and this one was dropped.
        """
        matrix = np.asarray(queries, dtype=np.float32)
        if matrix.ndim != 2 or matrix.shape[1] != self.version.dimension:
            raise ValueError(
                f"queries of shape {matrix.shape} for an index of [N, {self.version.dimension}]"
            )
        check_matrix(matrix, self._settings.type, "queries")
        near = whitened(matrix, self._of_queries)
        check_matrix(near, self._settings.type, "mapped queries")
        if exclude is not None and len(exclude) != len(matrix):
            raise ValueError(f"{len(exclude)} lists of exclusions for {len(matrix)} queries")
        ef_search = min(max(self.ef_search, k + SLACK), LARGEST_EF_SEARCH)
        self._connection.execute("SELECT set_config('hnsw.ef_search', %s, false)", [str(ef_search)])
        answers = []
        for row, (query, place) in enumerate(zip(matrix, near, strict=True) if k else ()):
            seen = [id_ for id_ in exclude[row] if "\0" not in id_] if exclude else []
            asked = {"query": Vector(query), "near": Vector(place), "exclude": seen, "k": k}
            answers.append(self._nearest(asked))
        if not answers:
            width = min(k, self.count())
            return SearchResult(
                [[] for _ in matrix], np.full((len(matrix), width), -np.inf, np.float32)
            )
        width = max(map(len, answers))
        scores = np.full((len(answers), width), -np.inf, dtype=np.float32)
        for row, answer in enumerate(answers):
            scores[row, : len(answer)] = [score for _, score in answer]
        return SearchResult([[id_ for id_, _ in answer] for answer in answers], scores)

    def _nearest(self, parameters: dict[str, Any]) -> list[tuple[str, float]]:
        found = self._fetch(self._by_index, parameters)
        if len(found) == parameters["k"]:
            return found
        # Fewer are left, or the scan met its limit, or some are out of the graph's reach: by inner
        # product, a short vector may be nobody's neighbour.
        return self._fetch(self._exactly, parameters)

    def _fetch(self, statement: sql.Composed, parameters: dict[str, Any]) -> list[Any]:
        try:
            return self._connection.execute(statement, parameters, binary=True).fetchall()
        except psycopg.errors.UndefinedTable as error:
            raise LookupError(
                f"version {self.version.version} of {self._name} was dropped after its grace"
                " period; open the index again"
            ) from error


def current_version(dsn: str, *, name: str = NAME) -> IndexVersion | None:
    """Return the served version; None when nothing was published yet."""
    with connect(dsn) as connection:
        served = read_served(connection, name)
    return served.version if served else None


@contextmanager
def open_current(
    dsn: str, settings: ItemIndexSettings, *, name: str = NAME
) -> Iterator[PgVectorIndex]:
    """Yield the served index.

    Raises:
        FileNotFoundError: nothing was published yet; the message names the remedy.
    """
    with connect(dsn) as connection:
        served = read_served(connection, name)
        if served is None:
            raise FileNotFoundError(
                f"no index {name!r} in the database; run: beauty-rec run "
                "(or beauty-rec run --select item_index --force)"
            )
        yield PgVectorIndex(connection, served.table, served.version, settings, name=name)
