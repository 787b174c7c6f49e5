"""Jobs, by the names that operators know them by.

All but ``split_backfill`` and ``promote`` are one op that walks the graph as `beauty-rec run` does:
only what is missing or stale, in order, each asset as a run of its own, each once more looked at
before it is built. An asset job would build all that it selects, and only one split.
"""

from typing import Any

import dagster as dg
from pydantic import Field

from beauty_rec.orchestration.daemon.promotion import promote
from beauty_rec.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from beauty_rec.orchestration.refresh.dead_runs import RUN_TAG, life_tags
from beauty_rec.orchestration.refresh.folder import Request, folder_refresh
from beauty_rec.orchestration.refresh.lock import PARENT_TAG
from beauty_rec.orchestration.stage.partitions import splits
from beauty_rec.settings import Measure, Train

EVALUATED = (
    "base_embeddings,retrieval_candidates,retrieval_metrics,user_candidates,recommendations,"
    "ranking_metrics,online_metrics,evaluation_report"
)
PATIENCE_SECONDS = 3_600
"""A job waits for another refresh, or for steps that were started by hand."""


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
    measure: Measure = Field(
        "stale",
        description="never: candidates and metrics stay as they were measured while the models "
        "stay as they were trained; stale: they are measured anew",
    )
    force: bool = Field(False, description="build what is fresh, too, but not what never leaves")


@dg.op(
    required_resource_keys={"settings", "code_location"},
    description="Looks at the input files, then builds what is missing or stale, in order.",
    out=dg.Out(dict, description="how many steps were built, fresh, failed"),
)
def refresh_assets(context: dg.OpExecutionContext, config: RefreshConfig) -> dict[str, int]:
    """Walk the graph; fail when a step failed, with what was built before it in place."""
    instance = context.instance
    # Not `process_tags`: nobody repairs what a killed night left but that night, started again.
    instance.add_run_tags(context.run_id, {**life_tags(instance), RUN_TAG: context.run_id})
    request = Request(**config.model_dump(), tags={PARENT_TAG: context.run_id})
    rows = ["| status | asset | seconds | reason |", "|---|---|--:|---|"]
    with folder_refresh(
        context.resources.code_location.build(),
        instance,
        context.resources.settings.data_dir,
        request,
        patience=PATIENCE_SECONDS,
    ) as refreshed:
        for ended in refreshed.ended_runs:
            context.log.warning(f"run {ended} was killed; its record is closed")
        for result in refreshed:
            rows.append(
                f"| {result.status} | {result.step} | {result.seconds:.1f} | {result.reason} |"
            )
            if result.status != "fresh":
                log = context.log.error if result.status == "failed" else context.log.info
                log(f"{result.status} {result.step} {result.seconds:.1f} s {result.reason}")
    counts = refreshed.counts
    table = dg.MetadataValue.md("\n".join(rows))
    figures = {str(status): count for status, count in counts.items()}
    context.add_output_metadata({**figures, "steps": table})
    if counts["failed"]:
        raise dg.Failure(
            f"{counts['failed']} of {sum(counts.values())} steps failed; "
            "what was served before is served on",
            metadata={"steps": table},
            allow_retries=False,
        )
    return figures


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
    "New and changed rows to both indexes and to what is served. Models stay as they were trained, "
    "and their metrics as they were measured, unless their code or settings changed: "
    "`beauty-rec run --train never --measure never`.",
    train="never",
    measure="never",
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
        "base_embeddings",  # no split has any of its own, but nights leave it
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
    promote,
]
