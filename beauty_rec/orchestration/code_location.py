"""One explicit Definitions object for one set of settings."""

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg
from upath import UPath

from beauty_rec.orchestration.io import io_managers
from beauty_rec.orchestration.stage import with_code_versions
from beauty_rec.settings import Settings

with warnings.catch_warnings():
    # Observable sources are marked beta, and deprecated within dagster itself; neither is ours.
    warnings.simplefilter("ignore", dg.BetaWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from beauty_rec.orchestration.assets import (
        evaluation,
        features,
        index,
        ranking,
        raw,
        retriever,
        serving,
        towers,
    )

GROUPS = (raw, features, retriever, towers, index, ranking, evaluation, serving)
_FOUND = dg.load_assets_from_modules(GROUPS)
SOURCES = [asset for asset in _FOUND if isinstance(asset, dg.SourceAsset)]
STAGES = [asset for asset in _FOUND if isinstance(asset, dg.AssetsDefinition)]
CHECKS = [check for group in GROUPS for check in getattr(group, "checks", ())]


def build_definitions(
    settings: Settings, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Return the code location for ``settings``; ``resources`` replaces some, as tests do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return dg.Definitions(
            assets=[*SOURCES, *with_code_versions(STAGES, settings)],
            asset_checks=CHECKS,
            # A step process costs seconds of imports; runs go side by side, steps one by one.
            executor=dg.in_process_executor,
            resources={
                "settings": settings,
                **io_managers(UPath(settings.data_dir)),
                **(resources or {}),
            },
        )
