"""Code versions: what stands for the code and the settings that an asset is made with."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from beauty_rec.orchestration.stage.imports import code_of
from beauty_rec.settings import Settings
from beauty_rec.verified import Verified

CODE_VERSION_TAG = "dagster/code_version"
NOT_IN_VERSION = {"encoder": {"device", "chunk"}}
"""Settings of a named group that change where and in what parts a step runs, not what it makes."""
BY_CONTENT = (("attributes", "domain"), ("encoder", "model"), ("item_tower", "title_encoder"))
"""Settings that may name a file or folder of one's own: what is in it counts, wherever it lies."""


def with_code_versions(
    assets: Iterable[dg.AssetsDefinition], settings: Settings
) -> list[dg.AssetsDefinition]:
    """Give each stage a ``code_version`` from the code that it reaches and its settings."""
    # Of the language model only what shapes its answers, not where and how fast it is asked.
    values = {**settings.model_dump(mode="json"), "llm": settings.llm.answering()}
    verified = Verified.below(settings.data_dir)
    for group, name in BY_CONTENT:
        path = Path(values[group][name])
        if path.is_absolute() and path.exists():
            values[group][name] = verified.content_hash(path)

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


def _pick(values: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values
