"""Resources of the two vector indexes: where they stand, how they are built, held and asked.

An address may hold a password, and Dagster keeps for good what is typed into its launchpad, refused
or not. So no address is a field of a run's config: they come from the settings, as dependencies.
"""

import errno
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from beauty_rec.artifacts import atomic_path
from beauty_rec.orchestration.storage.remote import is_local, upload
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import (
    ItemIndexSettings,
    TextIndexSettings,
)
from beauty_rec.verified import Verified, file_stamp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from beauty_rec.artifacts import Vectors
    from beauty_rec.search.chroma.index import ChromaIndex
    from beauty_rec.search.pgvector.index import PgVectorIndex
    from beauty_rec.search.protocol import IndexVersion

LOG = logging.getLogger("beauty_rec.storage")
NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What a folder says that is read-only, or another user's."""


class TextIndexResource(dg.ConfigurableResource[Any]):
    """ChromaDB: one collection a version, and which one is served.

    With a server, the folder (pointer and what is said of each version) is handed on through the
    store, so that another worker finds what this one built.

    Args:
        url: of a Chroma server, such as ``http://chroma:8000``; None: files in ``folder``.
    """

    store: dg.ResourceDependency[ArtifactStore]
    folder: str = Field(description="local folder of the versions")
    url: dg.ResourceDependency[str | None]

    def build(
        self, vectors: "Vectors", version: str, settings: TextIndexSettings
    ) -> "IndexVersion":
        """Build a version aside, verify it and switch to it."""
        from beauty_rec.search.chroma.build import build_index

        located = settings.model_copy(update={"url": self.url})
        built = build_index(self._synchronised(), vectors, version, located)
        if self.url is not None and not is_local(self.store.root):
            upload(Path(self.folder), self.store.root / "chromadb")
        return built

    @contextmanager
    def served(self) -> "Iterator[ChromaIndex]":
        """Yield the served version.

        Raises:
            FileNotFoundError: nothing was published yet.
        """
        from beauty_rec.search.chroma.index import open_current

        with open_current(self._synchronised(), self.url) as index:
            yield index

    def fault(self, version: str, verified: Verified) -> str | None:
        """Return what keeps the served version from being ``version`` as it was built, or None."""
        from beauty_rec.search.chroma.index import current_version, fault

        folder = self._synchronised()
        name = folder.absolute()
        stamp = f"{version} {file_stamp(folder)}" if folder.is_dir() else ""
        if self.url is None and verified.holds(name, stamp):
            return None
        if (found := fault(folder, self.url)) is not None:
            return found
        served = current_version(folder)
        if served is None or served.version != version:
            return f"{folder} serves another version than {version}"
        verified.found_right(name, stamp)
        return None

    def _synchronised(self) -> Path:
        """Return the folder, as the store has it where it is shared."""
        folder = Path(self.folder)
        if self.url is not None and not is_local(self.store.root):
            known = self.store.get("chromadb")
            if known is not None:
                with atomic_path(folder) as draft:
                    shutil.copytree(known, draft)
        return folder


class ItemIndexResource(dg.ConfigurableResource[Any]):
    """PostgreSQL with pgvector: the server that the settings name, or an embedded one."""

    folder: str = Field(description="of the embedded server, where no DSN is given")

    @contextmanager
    def server(self, settings: ItemIndexSettings) -> Iterator[str]:
        """Yield the DSN of a running server."""
        from beauty_rec.search.pgvector.server import postgres

        with postgres(Path(self.folder), settings.dsn) as dsn:
            yield dsn

    def build(
        self,
        vectors: "Vectors",
        version: str,
        settings: ItemIndexSettings,
        queries: "NDArray[np.float32]",
        verified: Verified,
    ) -> "IndexVersion":
        """Build a version aside, verify it and switch to it.

        An embedded cluster that is damaged is moved away first: it holds nothing but indexes.
        """
        import psycopg

        from beauty_rec.search.pgvector.cluster import cluster_fault
        from beauty_rec.search.pgvector.faults import is_damage
        from beauty_rec.search.pgvector.server import ClusterError

        def attempt() -> "IndexVersion":
            from beauty_rec.search.pgvector.build import build_index

            with self.server(settings) as dsn:
                built = build_index(dsn, vectors, version, settings, queries=queries)
            if settings.dsn is None:
                self._keep(version, verified)
            return built

        if settings.dsn is not None:
            return attempt()
        if (Path(self.folder) / "cluster").exists():
            found = cluster_fault(Path(self.folder))
            if found is not None:
                self._make_room(found)
        try:
            return attempt()
        except ClusterError as error:
            self._make_room(str(error))
        except psycopg.Error as error:
            if not is_damage(error):
                raise
            self._make_room(str(error))
        return attempt()

    def fault(self, version: str, settings: ItemIndexSettings, verified: Verified) -> str | None:
        """Return what keeps the served version from being ``version`` as it was built, or None.

        Of a server that is away nothing is said, nor of a cluster that may not be started.
        """
        try:
            return self._fault(version, settings, verified)
        except OSError as error:
            if settings.dsn is None and error.errno in NOT_OURS:
                return None
            raise

    def _fault(self, version: str, settings: ItemIndexSettings, verified: Verified) -> str | None:
        import psycopg

        from beauty_rec.search.pgvector.cluster import cluster_fault
        from beauty_rec.search.pgvector.faults import fault
        from beauty_rec.search.pgvector.postmaster import status_lines
        from beauty_rec.search.pgvector.server import ClusterError

        cluster = Path(self.folder).resolve() / "cluster"
        embedded = settings.dsn is None
        if embedded and not status_lines(cluster):
            stamp = f"{version} {file_stamp(cluster)}" if cluster.is_dir() else ""
            if verified.holds(cluster, stamp):
                return None
            if (found := cluster_fault(Path(self.folder))) is not None:
                return found
        try:
            with self.server(settings) as dsn:
                found = fault(dsn, version)
        except ClusterError as error:
            return " ".join(str(error).split())
        except psycopg.OperationalError as error:
            return f"{cluster} does not answer ({error})" if embedded else None
        if embedded and found is None:
            self._keep(version, verified)
        return found

    def _keep(self, version: str, verified: Verified) -> None:
        """Keep that the cluster is right as it is, unless somebody else uses it."""
        from beauty_rec.search.pgvector.postmaster import status_lines

        cluster = Path(self.folder).resolve() / "cluster"
        if not status_lines(cluster):
            verified.found_right(cluster, f"{version} {file_stamp(cluster)}")

    def _make_room(self, reason: str) -> None:
        from beauty_rec.search.pgvector.cluster import set_aside

        aside = set_aside(Path(self.folder))
        LOG.warning("%s; it was moved to %s and is made anew", " ".join(reason.split()), aside)

    @contextmanager
    def served(self, settings: ItemIndexSettings) -> "Iterator[PgVectorIndex]":
        """Yield the served version."""
        from beauty_rec.search.pgvector.index import open_current

        with self.server(settings) as dsn, open_current(dsn, settings) as index:
            yield index
