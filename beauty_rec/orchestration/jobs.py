"""Jobs, by the names that operators know them by.

All but ``split_backfill`` are one op that walks the graph as `beauty-rec run` does: only what is
missing or stale, in order, each asset as a run of its own, each once more looked at before it is
built. An asset job would build all that it selects, and only one split.
"""

from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)
from pydantic import Field

from beauty_rec.orchestration.dead_runs import end_dead_runs, process_tags
from beauty_rec.orchestration.partitions import splits
from beauty_rec.orchestration.refresh import observe_sources, plan, refresh
from beauty_rec.orchestration.turn import refresh_turn
from beauty_rec.settings import Settings, Train

EVALUATED = (
    "retrieval_candidates,retrieval_metrics,user_candidates,recommendations,"
    "ranking_metrics,evaluation_report"
)
PARENT_TAG = "beauty_rec/job_run"


class RefreshConfig(dg.Config):
    """What to refresh, and how far."""

    select: str | None = Field(
        None, description="assets in Dagster's selection syntax, by commas; empty: all"
    )
    partition: str | None = Field(
        None, description="train, valid or test: only this split of the assets that have splits"
    )
    train: Train = Field(
        "stale",
        description="never: models whose data changed stay as they were trained; stale: they are "
        "trained anew; always: so are models whose data did not change",
    )
    force: bool = Field(False, description="build what is fresh, too")


@dg.op(
    required_resource_keys={"settings"},
    description="Looks at the input files, then builds what is missing or stale, in order.",
    out=dg.Out(dict, description="how many steps were built, fresh, failed"),
)
def refresh_assets(context: dg.OpExecutionContext, config: RefreshConfig) -> dict[str, int]:
    """Walk the graph; fail when a step failed, with what was built before it in place."""
    from beauty_rec.orchestration.code_location import build_definitions

    settings: Settings = context.resources.settings
    definitions = build_definitions(settings)
    steps = plan(definitions, config.select, config.partition)
    counts = {"built": 0, "fresh": 0, "failed": 0}
    rows = ["| status | asset | seconds | reason |", "|---|---|--:|---|"]
    instance = context.instance
    instance.add_run_tags(context.run_id, process_tags())
    with refresh_turn(settings.data_dir):
        for ended in end_dead_runs(instance):
            context.log.warning(f"run {ended} was killed; its record is closed")
        observe_sources(definitions, instance)
        for result in refresh(
            definitions,
            instance,
            steps,
            force=config.force,
            train=config.train,
            tags={PARENT_TAG: context.run_id},
        ):
            counts[result.status] += 1
            rows.append(
                f"| {result.status} | {result.step} | {result.seconds:.1f} | {result.reason} |"
            )
            if result.status != "fresh":
                tell = context.log.error if result.status == "failed" else context.log.info
                tell(f"{result.status} {result.step} {result.seconds:.1f} s {result.reason}")
    context.add_output_metadata({**counts, "steps": dg.MetadataValue.md("\n".join(rows))})
    if counts["failed"]:
        raise dg.Failure(
            f"{counts['failed']} of {len(steps)} steps failed; what was served before is served on",
            metadata={"steps": dg.MetadataValue.md("\n".join(rows))},
            allow_retries=False,
        )
    return counts


def _job(name: str, description: str, **config: Any) -> dg.JobDefinition:
    """Return a job whose launchpad shows ``config``, to be changed there."""

    @dg.graph(name=name, description=description)
    def walk() -> None:
        refresh_assets()

    return walk.to_job(
        name=name,
        description=description,
        tags={"beauty_rec/job": name},
        config={"ops": {"refresh_assets": {"config": config}}},
        executor_def=dg.in_process_executor,
    )


full_refresh = _job(
    "full_refresh",
    "Everything that is missing or stale, models included: what `beauty-rec run` does.",
    train="stale",
)
nightly_reindex = _job(
    "nightly_reindex",
    "New and changed rows to both indexes and to what is served. Models stay as they were trained "
    "unless their code or settings changed: `beauty-rec run --train never`.",
    train="never",
)
retrain = _job(
    "retrain",
    "Everything up to date, then every model trained anew: `beauty-rec run --train always`.",
    train="always",
)
evaluate = _job(
    "evaluate",
    "Candidates, metrics and the report of the models as they stand.",
    select=EVALUATED,
    train="never",
)
split_backfill = dg.define_asset_job(
    "split_backfill",
    selection=dg.AssetSelection.assets(
        "keywords",
        "retrieval_candidates",
        "retrieval_metrics",
        "user_candidates",
        "recommendations",
        "ranking_metrics",
    ),
    partitions_def=splits,
    description="One split of every asset that has splits, built anew; no model, no other split. "
    "`beauty-rec run --partition SPLIT` builds only what is stale of it.",
    tags={"beauty_rec/job": "split_backfill"},
)

JOBS: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [
    full_refresh,
    nightly_reindex,
    retrain,
    evaluate,
    split_backfill,
]
