"""The artifact store as a resource."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field, field_validator
from upath import UPath

from beauty_rec.artifacts import atomic_path
from beauty_rec.orchestration.storage.remote import fetch, is_local, upload
from beauty_rec.settings import Settings


class ArtifactStore(dg.ConfigurableResource[Any]):
    """Where artifacts stand, and the local disk that a step writes them on first.

    Args:
        url: local folder, or an fsspec URL such as ``s3://bucket/shop``; of the settings alone, see
            :mod:`~beauty_rec.orchestration.storage.indexes`.
    """

    url: dg.ResourceDependency[str]
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

    @classmethod
    def of(cls, settings: Settings) -> "ArtifactStore":
        """Return the store that the settings name."""
        data = str(settings.data_dir)
        return cls(
            url=settings.storage.url or data, scratch=data, cache_gb=settings.storage.cache_gb
        )

    @property
    def root(self) -> UPath:
        """The folder of all artifacts."""
        return UPath(self.url)

    @property
    def cache(self) -> Path:
        """Local folder of fetched copies."""
        return Path(self.scratch) / ".fetched"

    def draft(self, name: str) -> Path:
        """Return a local path, in a folder that is there, for what an asset writes itself.

        Nothing stands there yet, and nobody else gets the same: what another run of the asset
        writes meanwhile, or left when it failed, is not mistaken for its own.
        """
        wanted = Path(name)
        own = f"{wanted.stem}.{uuid.uuid4().hex[:12]}{wanted.suffix}"
        path = Path(self.scratch) / ".drafts" / own
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def checkpoints(self, name: str, version: str | None) -> Path:
        """Return a local folder from which a killed training of the same code goes on.

        Those of other versions are deleted: weights half made by another recipe are nobody's.
        """
        folder = Path(self.scratch) / "models" / ".checkpoints" / name
        own = folder / (version or "unknown")
        for other in folder.glob("*"):
            if other != own:
                shutil.rmtree(other, ignore_errors=True)
        return own

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

    def drop(self, relative: str) -> None:
        """Delete a side product, which need not be there."""
        with suppress(FileNotFoundError):
            (self.root / relative).unlink()
