"""[raw] The input files, and what is valid of them."""

from pathlib import Path

import dagster as dg
import polars as pl

from beauty_rec.artifacts import content_hash
from beauty_rec.orchestration.io import frame_metadata
from beauty_rec.orchestration.partitions import encode_parts
from beauty_rec.orchestration.stage import stage
from beauty_rec.settings import SPLITS, Settings

GROUP = "raw"
SettingsResource = dg.ResourceParam[Settings]


def _source(kind: str, required: bool) -> dg.AssetsDefinition:
    """Return the observable source asset of one input file; its version is the file's content."""

    @dg.observable_source_asset(
        name=f"{kind}_file",
        group_name=GROUP,
        description=f"The raw {kind}; its data version is a hash of the file's content.",
    )
    def observe(context: dg.OpExecutionContext, settings: SettingsResource) -> dg.ObserveResult:
        path = settings.inputs[_INPUTS[kind]]
        if path is None or (not required and not path.exists()):
            return dg.ObserveResult(data_version=dg.DataVersion("none"))
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is not a file; name the {kind} with: "
                f"beauty-rec run --{_INPUTS[kind]} FILE"
            )
        return dg.ObserveResult(
            data_version=dg.DataVersion(content_hash(path)),
            metadata={
                "path": dg.MetadataValue.path(str(path)),
                "bytes": path.stat().st_size,
            },
        )

    return observe


_INPUTS = {"reviews": "reviews", "metadata": "items", "profiles": "profiles"}
reviews_file = _source("reviews", required=True)
metadata_file = _source("metadata", required=False)
profiles_file = _source("profiles", required=False)


def _draft(settings: Settings, name: str) -> Path:
    """Return a path for an artifact that a library writes itself."""
    folder = settings.data_dir / "processed" / ".drafts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _quarantine(settings: Settings, kind: str) -> Path:
    return settings.data_dir / "processed" / "quarantine" / f"{kind}.parquet"
