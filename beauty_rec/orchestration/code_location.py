"""The code location: one explicit Definitions object for one set of settings."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from beauty_rec import tracing
from beauty_rec.orchestration.catalogue.docs_link import docs_link
from beauty_rec.orchestration.daemon.conditions import build_when_stale
from beauty_rec.orchestration.refresh.kept import Kept
from beauty_rec.orchestration.stage.cluster import executor_of
from beauty_rec.orchestration.stage.stage import for_settings
from beauty_rec.orchestration.storage.holdings import Holdings
from beauty_rec.orchestration.storage.io_managers import io_managers
from beauty_rec.orchestration.storage.resources import resources_of
from beauty_rec.settings import Settings

with warnings.catch_warnings():
    # Observable sources are marked beta, and deprecated within dagster itself; neither is ours.
    warnings.simplefilter("ignore", dg.BetaWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from beauty_rec.orchestration.assets import (
        evaluation,
        features,
        index,
        lists,
        online,
        past,
        ranking,
        raw,
        retriever,
        serving,
        shop,
        towers,
    )
    from beauty_rec.orchestration.daemon.jobs import JOBS
    from beauty_rec.orchestration.daemon.schedules import schedules
    from beauty_rec.orchestration.daemon.sensors import sensors

# Dagster says it of its own source assets when it resolves the graph, later and elsewhere.
warnings.filterwarnings("ignore", "Property `OpDefinition.version` is deprecated")

GROUPS = (
    raw,
    shop,
    features,
    retriever,
    past,
    towers,
    index,
    ranking,
    online,
    evaluation,
    serving,
    lists,
)
_FOUND = dg.load_assets_from_modules(GROUPS)
SOURCES = [asset for asset in _FOUND if isinstance(asset, dg.SourceAsset)]
STAGES = [asset for asset in _FOUND if isinstance(asset, dg.AssetsDefinition)]
CHECKS = [check for group in GROUPS for check in getattr(group, "checks", ())]


@dataclass(frozen=True)
class CodeLocation:
    """This code location, for a job that walks the assets itself."""

    settings: Settings
    resources: Mapping[str, Any] | None = None

    def build(self) -> dg.Definitions:
        """Return the definitions anew, from the code and the settings of this process."""
        return build_definitions(self.settings, self.resources)


def build_definitions(
    settings: Settings, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Return the code location for ``settings``; ``resources`` replaces some, as tests do."""
    tracing.start(settings.traces, "beauty_rec.pipeline")
    kept = Kept.of("stale" if settings.schedule.on_change_trains else "never", "stale")
    given = {**resources_of(settings), **(resources or {})}
    condition = build_when_stale(settings.data_dir, kept, Holdings(settings, given))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return dg.Definitions(
            assets=[
                *SOURCES,
                *dg.map_asset_specs(
                    lambda spec: spec.replace_attributes(
                        automation_condition=condition,
                        metadata={**spec.metadata, **docs_link(settings.docs_url)},
                    ),
                    for_settings(STAGES, settings),
                ),
            ],
            asset_checks=CHECKS,
            jobs=JOBS,
            schedules=schedules(settings.schedule),
            sensors=sensors(settings),
            executor=executor_of(settings),
            resources={
                "settings": settings,
                "code_location": CodeLocation(settings, resources),
                **io_managers(given["store"]),
                **given,
            },
        )
