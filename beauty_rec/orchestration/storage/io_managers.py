"""IO managers: how an asset's value becomes an artifact with a version.

The version is a hash of the content, so a rebuild that changes nothing stops the cascade; what is
read is held against it (see :mod:`.contents`). The store may be a local folder or any URL that
fsspec knows (``s3://…``); see :mod:`.remote`.
"""

import json
import shutil
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import dagster as dg
import polars as pl
from upath import UPath

from beauty_rec.artifacts import Vectors, atomic_path, file_hashes, hash_of_files, write_rows
from beauty_rec.measures.finite import refuse_non_finite
from beauty_rec.orchestration.catalogue.markdown import frame_metadata
from beauty_rec.orchestration.storage.contents import (
    CONTENT,
    REMEDY,
    ArtifactDamagedError,
    facts_of,
    fault_of,
    materialization,
    recorded,
)
from beauty_rec.orchestration.storage.remote import fetch, is_local, upload
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.verified import Verified


class ArtifactIOManager(dg.UPathIOManager):
    """Writes atomically, versions by content, and describes what it wrote."""

    def __init__(self, store: ArtifactStore, folder: str) -> None:
        super().__init__(store.root / folder if folder else store.root)
        self._store = store

    @abstractmethod
    def write(self, value: Any, path: Path) -> None:
        """Write ``value`` to the local ``path``, which does not exist yet."""

    @abstractmethod
    def read(self, path: Path, annotation: Any) -> Any:
        """Read the local ``path`` as the type that the asset's parameter asks for."""

    def describe(self, asset: str, value: Any) -> dict[str, Any]:
        """Return metadata of the ``value`` of an asset."""
        return {}

    def make_directory(self, path: UPath) -> None:
        """Make a local folder; a remote store has none."""
        if is_local(path):
            path.mkdir(parents=True, exist_ok=True)

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        """Write ``obj``; set the data version unless the asset has set one itself.

        Raises:
            ValueError: weights or vectors are not finite; what stood there before stays.
        """
        if is_local(path):
            target = Path(path.path)
            with atomic_path(target) as draft:
                hashes, size = self._written(obj, draft)
            self._verified().wrote(target, hashes)
        else:
            with tempfile.TemporaryDirectory() as folder:
                draft = Path(folder) / path.name
                hashes, size = self._written(obj, draft)
                upload(draft, path)
        step, name = context.step_context, context.asset_key.to_user_string()
        if not step.has_data_version(context.asset_key):
            step.set_data_version(context.asset_key, dg.DataVersion(hash_of_files(hashes)))
        described = self.describe(name, obj)
        context.add_output_metadata(
            {CONTENT: recorded(hashes), "megabytes": round(size / 1e6, 3), **described}
        )

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        """Read an artifact; a remote one is fetched to a local copy first.

        Raises:
            FileNotFoundError, ArtifactDamagedError: it is not what its asset wrote; the message
                names the file and the remedy.
        """
        partition = None
        if context.has_asset_partitions:
            partition = path.name.removesuffix(self.extension or "")
        instance = context.step_context.instance
        facts = facts_of(materialization(instance, context.asset_key, partition))
        try:
            local = self._fetch(path)
            fault = fault_of(local, facts.get(CONTENT), self._verified())
            if fault is not None and not is_local(path):  # perhaps it is the copy that is damaged
                shutil.rmtree(local.parent)
                local = self._fetch(path)
                fault = fault_of(local, facts.get(CONTENT), self._verified())
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{path} is missing although its asset was built; {REMEDY}"
            ) from error
        if fault is not None and not local.exists():
            raise FileNotFoundError(f"{fault} although its asset was built; {REMEDY}")
        if fault is not None:
            raise ArtifactDamagedError(f"{fault}; {REMEDY}")
        return self.read(local, context.dagster_type.typing_type)

    def _fetch(self, path: UPath) -> Path:
        if is_local(path):
            return Path(path.path)
        return fetch(path, self._store.cache, self._store.cache_gb * 1e9)

    def _verified(self) -> Verified:
        return Verified.below(Path(self._store.scratch))

    def _written(self, value: Any, draft: Path) -> tuple[dict[str, str], int]:
        """Write ``value`` to ``draft``; return the hashes of its files, and its bytes."""
        self._write_or_move(value, draft)
        refuse_non_finite(draft)
        return file_hashes(draft), _size(draft)

    def _write_or_move(self, value: Any, draft: Path) -> None:
        if isinstance(value, Path):  # the asset wrote it in pieces
            shutil.move(value, draft)
        else:
            self.write(value, draft)


class FrameIOManager(ArtifactIOManager):
    """Polars frames as Parquet; an asset may ask for a ``DataFrame`` or a ``LazyFrame``."""

    extension = ".parquet"

    def write(self, value: pl.DataFrame, path: Path) -> None:
        write_rows(value, path)

    def read(self, path: Path, annotation: Any) -> pl.DataFrame | pl.LazyFrame | Path:
        if annotation is Path:
            return path
        return (
            pl.scan_parquet(path, glob=False)
            if pl.LazyFrame in (annotation, *get_args(annotation))  # of one split, or of several
            else pl.read_parquet(path, glob=False)
        )

    def describe(self, asset: str, value: pl.DataFrame | Path) -> dict[str, Any]:
        if isinstance(value, Path):
            return {}
        return frame_metadata(asset, value.lazy())


class FolderIOManager(ArtifactIOManager):
    """Folders: vectors (ids + matrix), and models that an asset wrote itself."""

    def write(self, value: Vectors, path: Path) -> None:
        value.save(path)

    def read(self, path: Path, annotation: Any) -> Vectors | Path:
        return Vectors.load(path) if annotation is Vectors else path

    def describe(self, asset: str, value: Vectors | Path) -> dict[str, Any]:
        if isinstance(value, Path):
            return {}
        return {"dagster/row_count": len(value.ids), "dimension": value.matrix.shape[1]}


class DocumentIOManager(ArtifactIOManager):
    """Small JSON documents."""

    extension = ".json"

    def write(self, value: dict[str, Any], path: Path) -> None:
        path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def read(self, path: Path, annotation: Any) -> dict[str, Any] | Path:
        return path if annotation is Path else json.loads(path.read_text(encoding="utf-8"))


class ReportIOManager(FolderIOManager):
    """The folder ``evaluation/``, whose name is fixed."""

    def get_asset_relative_path(self, context: dg.InputContext | dg.OutputContext) -> UPath:
        return UPath(REPORT)


REPORT = "evaluation"


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


Layout = Literal["frames", "folders", "documents", "models", "evaluation"]
LAYOUTS: dict[Layout, tuple[type[ArtifactIOManager], str]] = {
    "frames": (FrameIOManager, "processed"),
    "folders": (FolderIOManager, "processed"),
    "documents": (DocumentIOManager, "processed"),
    "models": (FolderIOManager, "models"),
    "evaluation": (ReportIOManager, ""),
}
"""IO manager and folder of the store, by the key that assets name."""


def path_in_store(layout: Layout, asset: str, partition: str | None) -> str:
    """Return where the artifact of an asset (and split) stands, from the store's root."""
    manager, folder = LAYOUTS[layout]
    if layout == "evaluation":
        return REPORT
    parts = [part for part in (folder, asset, partition) if part]
    return "/".join(parts) + (manager.extension or "")


class StoredArtifacts(dg.ConfigurableIOManagerFactory[Any]):
    """Makes the IO manager of one layout on the artifact store."""

    store: dg.ResourceDependency[ArtifactStore]
    layout: ClassVar[Layout]

    def create_io_manager(self, context: dg.InitResourceContext) -> ArtifactIOManager:
        """Return the IO manager."""
        manager, folder = LAYOUTS[self.layout]
        return manager(self.store, folder)


class StoredFrames(StoredArtifacts):
    """Tables as Parquet, in ``processed/``."""

    layout = "frames"


class StoredFolders(StoredArtifacts):
    """Vectors and other folders, in ``processed/``."""

    layout = "folders"


class StoredDocuments(StoredArtifacts):
    """Small JSON documents, in ``processed/``."""

    layout = "documents"


class StoredModels(StoredArtifacts):
    """Trained models, in ``models/``."""

    layout = "models"


class StoredReport(StoredArtifacts):
    """The report, in ``evaluation/``."""

    layout = "evaluation"


def io_managers(store: ArtifactStore) -> dict[str, StoredArtifacts]:
    """Return the IO managers of an artifact store, by the key that assets name."""
    kinds = (StoredFrames, StoredFolders, StoredDocuments, StoredModels, StoredReport)
    return {kind.layout: kind(store=store) for kind in kinds}
