"""IO managers: how an asset's value becomes an artifact with a version.

The version is a hash of the content, so a rebuild that changes nothing stops the cascade. The
base path may be local or any URL that fsspec knows (``s3://…``).
"""

import base64
import json
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from upath import UPath

from beauty_rec.artifacts import Vectors, atomic_path, content_hash

PREVIEW_ROWS = 8
PREVIEW_CHARS = 80


class ArtifactIOManager(dg.UPathIOManager):
    """Writes atomically, versions by content, and describes what it wrote."""

    @abstractmethod
    def write(self, value: Any, path: Path) -> None:
        """Write ``value`` to the local ``path``, which does not exist yet."""

    @abstractmethod
    def read(self, path: Path, annotation: Any) -> Any:
        """Read the local ``path`` as the type that the asset's parameter asks for."""

    def describe(self, value: Any) -> dict[str, Any]:
        """Return metadata of ``value``."""
        return {}

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        """Write ``obj``; set the data version unless the asset has set one itself."""
        if _is_local(path):
            target = Path(path.path)
            with atomic_path(target) as draft:
                self._write_or_move(obj, draft)
                version = content_hash(draft)
        else:
            with tempfile.TemporaryDirectory() as folder:
                draft = Path(folder) / path.name
                self._write_or_move(obj, draft)
                version = content_hash(draft)
                path.fs.put(str(draft), path.path, recursive=draft.is_dir())
        step = context.step_context
        if not step.has_data_version(context.asset_key):
            step.set_data_version(context.asset_key, dg.DataVersion(version))
        context.add_output_metadata(self.describe(obj))

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        """Read an artifact; a remote one is fetched to a local copy first."""
        annotation = context.dagster_type.typing_type
        if _is_local(path):
            local = Path(path.path)
            if not local.exists():
                raise FileNotFoundError(
                    f"{local} is missing although its asset was built; "
                    f"run: beauty-rec run --select {context.asset_key.to_user_string()} --force"
                )
            return self.read(local, annotation)
        # Lives as long as the process: lazy frames and memory maps read it later.
        local = Path(tempfile.mkdtemp()) / path.name
        path.fs.get(path.path, str(local), recursive=path.fs.isdir(path.path))
        return self.read(local, annotation)

    def _write_or_move(self, value: Any, draft: Path) -> None:
        if isinstance(value, Path):  # the asset wrote it in pieces
            value.rename(draft)
        else:
            self.write(value, draft)


class FrameIOManager(ArtifactIOManager):
    """Polars frames as Parquet; an asset may ask for a ``DataFrame`` or a ``LazyFrame``."""

    extension = ".parquet"

    def write(self, value: pl.DataFrame, path: Path) -> None:
        value.write_parquet(path, compression="zstd")

    def read(self, path: Path, annotation: Any) -> pl.DataFrame | pl.LazyFrame | Path:
        if annotation is Path:
            return path
        return pl.scan_parquet(path) if annotation is pl.LazyFrame else pl.read_parquet(path)

    def describe(self, value: pl.DataFrame | Path) -> dict[str, Any]:
        if isinstance(value, Path):
            return {}
        return frame_metadata(value.lazy())


class FolderIOManager(ArtifactIOManager):
    """Folders: vectors (ids + matrix), and models that an asset wrote itself."""

    def write(self, value: Vectors, path: Path) -> None:
        value.save(path)

    def read(self, path: Path, annotation: Any) -> Vectors | Path:
        return Vectors.load(path) if annotation is Vectors else path

    def describe(self, value: Vectors | Path) -> dict[str, Any]:
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
        return UPath("evaluation")


def frame_metadata(frame: pl.LazyFrame) -> dict[str, Any]:
    """Return row count, column schema and a Markdown preview of ``frame``."""
    schema = frame.collect_schema()
    columns = [dg.TableColumn(name, str(dtype)) for name, dtype in schema.items()]
    rows = frame.select(pl.len()).collect().item()
    return {
        "dagster/row_count": rows,
        "dagster/column_schema": dg.TableSchema(columns),
        "preview": dg.MetadataValue.md(markdown_table(frame.head(PREVIEW_ROWS).collect())),
    }


def markdown_table(frame: pl.DataFrame) -> str:
    """Return ``frame`` as a Markdown table, its cells cut to a readable length."""

    def cell(value: Any) -> str:
        text = str(value).replace("|", "\\|").replace("\n", " ")
        return text if len(text) <= PREVIEW_CHARS else text[: PREVIEW_CHARS - 1] + "…"

    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * frame.width]
    lines += ["| " + " | ".join(cell(v) for v in row) + " |" for row in frame.iter_rows()]
    return "\n".join(lines)


def image_markdown(title: str, png: bytes) -> str:
    """Return a PNG as Markdown that carries the image itself."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _is_local(path: UPath) -> bool:
    return isinstance(path, Path) or path.protocol in ("", "file", "local")


def io_managers(data: UPath) -> dict[str, ArtifactIOManager]:
    """Return the IO managers of a data folder, by the key that assets name."""
    processed = data / "processed"
    return {
        "frames": FrameIOManager(processed),
        "folders": FolderIOManager(processed),
        "documents": DocumentIOManager(processed),
        "models": FolderIOManager(data / "models"),
        "evaluation": ReportIOManager(data),
    }
