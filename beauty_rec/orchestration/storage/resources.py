"""Resources of the assets: where things stand and what they run with.

The settings say *what* is computed, these resources *where* and *with what*. Each can be
configured in the launchpad, and replaced in tests: ``build_definitions(settings, {"encoder": …})``.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, SecretStr, field_validator
from upath import UPath

from beauty_rec.artifacts import atomic_path
from beauty_rec.orchestration.stage.gpu import GpuResource
from beauty_rec.orchestration.storage.remote import fetch, is_local, upload
from beauty_rec.settings import (
    EncoderSettings,
    ItemIndexSettings,
    LanguageSettings,
    Settings,
    TextIndexSettings,
    offline,
)

if TYPE_CHECKING:
    from beauty_rec.artifacts import Vectors
    from beauty_rec.items.domain import Domain
    from beauty_rec.keywords.extractor import KeywordExtractor
    from beauty_rec.retriever.encoder import TextEncoder
    from beauty_rec.search.chroma.index import ChromaIndex
    from beauty_rec.search.pgvector.index import PgVectorIndex
    from beauty_rec.search.protocol import IndexVersion


class ArtifactStore(dg.ConfigurableResource[Any]):
    """Where artifacts stand, and the local disk that a step writes them on first."""

    url: str = Field(description="local folder, or an fsspec URL: s3://bucket/shop")
    scratch: str = Field(description="local folder for drafts and fetched copies")
    cache_gb: float = Field(default=50, gt=0, description="of fetched copies that are kept")

    @field_validator("url")
    @classmethod
    def _known_protocol(cls, url: str) -> str:
        import fsspec

        protocol = url.partition("://")[0] if "://" in url else "file"
        if protocol not in fsspec.available_protocols():
            raise ValueError(f"{url}: fsspec knows no {protocol}://")
        return url

    @property
    def root(self) -> UPath:
        """The folder of all artifacts."""
        return UPath(self.url)

    @property
    def cache(self) -> Path:
        """Local folder of fetched copies."""
        return Path(self.scratch) / ".fetched"

    def draft(self, name: str) -> Path:
        """Return a local path for an artifact that an asset writes itself, in pieces."""
        return Path(self.scratch) / ".drafts" / name

    def checkpoints(self, name: str) -> Path:
        """Return a local folder from which a killed training goes on."""
        return Path(self.scratch) / "models" / ".checkpoints" / name

    def get(self, relative: str) -> Path | None:
        """Return a local path of an artifact; None when there is none."""
        path = self.root / relative
        if is_local(path):
            local = Path(path.path)
            return local if local.exists() else None
        try:
            return fetch(path, self.cache, self.cache_gb * 1e9)
        except FileNotFoundError:
            return None

    @contextmanager
    def shared(self, relative: str) -> Iterator[Path]:
        """Yield a local path of a small file that runs hand on to each other; it need not exist.

        What it holds at the end is put into the store.
        """
        local = Path(self.scratch) / relative
        if not is_local(self.root):
            known = self.get(relative)
            local.unlink(missing_ok=True)
            if known is not None:
                local.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(known, local)
        yield local
        if local.exists():
            self.keep(local, relative)

    def keep(self, local: Path, relative: str) -> str:
        """Put a side product, such as a quarantine file, into the store; return where it is."""
        path = self.root / relative
        if is_local(path):
            if Path(path.path) != local:  # the store is another folder of this machine
                with atomic_path(Path(path.path)) as draft:
                    shutil.copyfile(local, draft)
        else:
            upload(local, path)
        return str(path)


class EncoderResource(dg.ConfigurableResource[Any]):
    """Loads text encoders onto the step's device."""

    offline: bool = Field(False, description="never ask the model hub, even if the model is absent")

    def load(self, source: str | Path, settings: EncoderSettings) -> "TextEncoder":
        """Load a packaged, local or hub model; see :meth:`TextEncoder.load`.

        Raises:
            EncoderUnavailable: no such model here, and none can be fetched.
        """
        from beauty_rec.retriever.encoder import TextEncoder
        from beauty_rec.retriever.model_files import resolve_model, unavailable

        if self.offline and not Path(resolve_model(source)).is_dir():
            raise unavailable(str(source), RuntimeError("the encoder resource is offline"))
        return TextEncoder.load(source, settings)


class LanguageModelResource(dg.ConfigurableResource[Any]):
    """The servers that read reviews and items, where the settings ask for a language model."""

    base_urls: list[str] = Field(
        description="servers of one model, asked side by side: http://127.0.0.1:8000/v1"
    )
    serve: bool = Field(False, description="start the server for the time that it is needed")
    gpus: str | None = Field(None, description="CUDA_VISIBLE_DEVICES of that server: 0 or 0,1")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="of that server")

    @field_validator("base_urls")
    @classmethod
    def _addresses(cls, urls: list[str]) -> list[str]:
        wrong = [url for url in urls if not url.startswith(("http://", "https://"))]
        if wrong or not urls:
            raise ValueError(f"base_urls must be http:// or https:// addresses, not {wrong}")
        return urls

    @classmethod
    def of(cls, settings: LanguageSettings) -> "LanguageModelResource":
        """Return the resource that the settings describe."""
        return cls(
            base_urls=list(settings.base_urls),
            serve=settings.serve,
            gpus=settings.gpus,
            gpu_memory_utilization=settings.gpu_memory_utilization,
        )

    @contextmanager
    def keyword_extractor(self, settings: Settings) -> "Iterator[KeywordExtractor]":
        """Yield what reads reviews: a language model, or rules."""
        from beauty_rec.keywords.backend import open_extractor

        with open_extractor(self._applied_to(settings)) as extractor:
            yield extractor

    @contextmanager
    def attribute_extractor(self, settings: Settings, domain: "Domain") -> Iterator[Any]:
        """Yield what reads items: a language model, or rules."""
        from beauty_rec.items.backend import open_attribute_extractor

        with open_attribute_extractor(self._applied_to(settings), domain) as extractor:
            yield extractor

    def _applied_to(self, settings: Settings) -> Settings:
        served = self.model_dump(include={"serve", "gpus", "gpu_memory_utilization"})
        llm = settings.llm.model_copy(update={**served, "base_urls": tuple(self.base_urls)})
        return settings.model_copy(update={"llm": llm})


class TextIndexResource(dg.ConfigurableResource[Any]):
    """ChromaDB: one collection a version, and which one is served.

    With a server, the folder (pointer and what is said of each version) is handed on through the
    store, so that another worker finds what this one built.
    """

    store: dg.ResourceDependency[ArtifactStore]
    folder: str = Field(description="local folder of the versions")
    url: str | None = Field(
        None, pattern=r"^https?://[^/]+/?$", description="of a Chroma server: http://chroma:8000"
    )

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
    """PostgreSQL with pgvector: a server that is named, or an embedded one."""

    folder: str = Field(description="of the embedded server, where no DSN is given")
    dsn: str | None = Field(
        None,
        description="another database with pgvector, for this run; unset: item_index.dsn",
    )

    @field_validator("dsn")
    @classmethod
    def _readable(cls, dsn: str | None) -> str | None:
        if dsn is not None:
            from psycopg import ProgrammingError
            from psycopg.conninfo import conninfo_to_dict

            try:
                conninfo_to_dict(dsn)
            except ProgrammingError as error:
                raise ValueError(f"dsn is no connection string ({error})") from None
        return dsn

    @contextmanager
    def server(self, settings: ItemIndexSettings) -> Iterator[str]:
        """Yield the DSN of a running server.

        The settings' own DSN is no field here, because the launchpad shows what is one.
        """
        from beauty_rec.search.pgvector.server import postgres

        secret = settings.dsn if self.dsn is None else SecretStr(self.dsn)
        with postgres(Path(self.folder), secret) as dsn:
            yield dsn

    @contextmanager
    def served(self, settings: ItemIndexSettings) -> "Iterator[PgVectorIndex]":
        """Yield the served version."""
        from beauty_rec.search.pgvector.index import open_current

        with self.server(settings) as dsn, open_current(dsn, settings) as index:
            yield index


def resources_of(settings: Settings) -> dict[str, Any]:
    """Return the resources that the settings describe, by the key that assets name."""
    data = settings.data_dir
    store = ArtifactStore(
        url=settings.storage.url or str(data),
        scratch=str(data),
        cache_gb=settings.storage.cache_gb,
    )
    return {
        "store": store,
        "gpu": GpuResource.of(settings.gpu),
        "language_model": LanguageModelResource.of(settings.llm),
        "encoder": EncoderResource(offline=offline()),
        "chroma": TextIndexResource(
            store=store, folder=str(data / "chromadb"), url=settings.text_index.url
        ),
        "pgvector": ItemIndexResource(folder=str(data / "postgres"), dsn=None),
    }
