"""Code versions: what stands for the code and the settings that an asset is made with."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from beauty_rec.artifacts import content_hash
from beauty_rec.orchestration.stage.imports import code_of
from beauty_rec.settings import Settings

CODE_VERSION_TAG = "dagster/code_version"
NOT_IN_VERSION = {"encoder": {"device", "chunk"}}
"""Settings of a named group that change where and in what parts a step runs, not what it makes."""


def with_code_versions(
    assets: Iterable[dg.AssetsDefinition], settings: Settings
) -> list[dg.AssetsDefinition]:
    """Give each stage a ``code_version`` from the code that it reaches and its settings."""
    # Of the language model only what shapes its answers, not where and how fast it is asked.
    values = {**settings.model_dump(mode="json"), "llm": settings.llm.answering()}
    values["attributes"]["domain"] = _by_content(settings.attributes.domain)

    def versioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        if "beauty_rec/function" not in spec.metadata:
            return spec
        code = code_of(*spec.metadata["beauty_rec/function"], gpu=spec.metadata["beauty_rec/gpu"])
        digest = hashlib.sha256(code.digest().encode())
        chosen = {name: _pick(values, name) for name in spec.metadata["beauty_rec/settings"]}
        for name in NOT_IN_VERSION.keys() & chosen.keys():
            chosen[name] = {k: v for k, v in chosen[name].items() if k not in NOT_IN_VERSION[name]}
        digest.update(json.dumps(chosen, sort_keys=True).encode())
        return spec.replace_attributes(code_version=digest.hexdigest()[:16])

    return list(dg.map_asset_specs(versioned, assets))


def _by_content(domain: str) -> str:
    """Return what stands for a domain: of a file what is in it, wherever it lies."""
    is_file = domain.endswith(".toml") and Path(domain).is_file()
    return content_hash(Path(domain)) if is_file else domain


def _pick(values: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values
