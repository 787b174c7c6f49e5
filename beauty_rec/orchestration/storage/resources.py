"""Resources of the assets: where things stand and what they run with.

The settings say *what* is computed, these resources *where* and *with what*. Each can be
configured in the launchpad, and replaced in tests: ``build_definitions(settings, {"encoder": …})``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from beauty_rec.orchestration.stage.gpu import GpuResource
from beauty_rec.orchestration.storage.indexes import ItemIndexResource, TextIndexResource
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import (
    EncoderSettings,
    LanguageSettings,
    Settings,
    offline,
)

if TYPE_CHECKING:
    from beauty_rec.items.domain import Domain
    from beauty_rec.keywords.extractor import KeywordExtractor
    from beauty_rec.retriever.encoder import TextEncoder


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
    """The servers that read reviews and items, where the settings ask for a language model.

    Args:
        base_urls: servers of one model, asked side by side; of the settings alone, see
            :mod:`~beauty_rec.orchestration.storage.indexes`.
    """

    base_urls: dg.ResourceDependency[list[str]]
    serve: bool = Field(False, description="start the server for the time that it is needed")
    gpus: str | None = Field(None, description="CUDA_VISIBLE_DEVICES of that server: 0 or 0,1")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="of that server")

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


def resources_of(settings: Settings) -> dict[str, Any]:
    """Return the resources that the settings describe, by the key that assets name."""
    data = settings.data_dir
    store = ArtifactStore.of(settings)
    return {
        "store": store,
        "gpu": GpuResource.of(settings.gpu),
        "language_model": LanguageModelResource.of(settings.llm),
        "encoder": EncoderResource(offline=offline()),
        "chroma": TextIndexResource(
            store=store, folder=str(data / "chromadb"), url=settings.text_index.url
        ),
        "pgvector": ItemIndexResource(folder=str(data / "postgres")),
    }
