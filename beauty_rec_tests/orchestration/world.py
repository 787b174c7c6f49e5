"""A small graph of its own, shaped like the real one: a file, splits with parts, a model."""

from collections.abc import Callable

import dagster as dg
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from beauty_rec.orchestration.stage.partitions import encode_parts, only, splits

LAUNCHER = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("beauty_rec"), "repository"), "quiet"
)
"""Of a run that Dagster launches in a process of its own, such as one that repeats another."""


class World:
    """The outside of the graph: a file's rows by split, and what was built."""

    def __init__(self) -> None:
        self.rows = {"train": "a", "valid": "b", "test": "c"}
        self.built: list[str] = []
        self.broken: set[str] = set()
        self.check_passes = True
        self.during_check: Callable[[], object] = lambda: None
        self.checks: list[dg.AssetChecksDefinition] = []
        self.code_version = "1"
        self.condition: dg.AutomationCondition | None = None


def definitions_of(world: World) -> dg.Definitions:
    @dg.observable_source_asset
    def rows_file() -> dg.DataVersion:
        return dg.DataVersion(str(world.rows))

    def done(context: dg.AssetExecutionContext, version: str) -> dg.MaterializeResult:
        name = context.asset_key.to_user_string()
        if context.has_partition_key:
            name = f"{name}[{context.partition_key}]"
        if name in world.broken:
            raise ValueError(f"{name} is broken")
        world.built.append(name)
        return dg.MaterializeResult(data_version=dg.DataVersion(version))

    @dg.asset(deps=[rows_file])
    def split_rows(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return done(context, encode_parts(world.rows))

    @dg.asset(
        deps=[split_rows],
        partitions_def=splits,
        metadata={"beauty_rec/reads": {"split_rows": ["own"]}},
    )
    def words(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return done(context, world.rows[context.partition_key].lower())

    @dg.asset(
        deps=[dg.AssetDep(words, partition_mapping=only("train")), split_rows],
        metadata={"beauty_rec/reads": {"split_rows": ["train"]}},
        code_version=world.code_version,
    )
    def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return done(context, f"model of {world.rows['train']}")

    @dg.asset(deps=[model, words])
    def summary(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return done(context, str(world.rows))

    @dg.asset_check(asset=split_rows, blocking=True)
    def enough_rows() -> dg.AssetCheckResult:
        world.during_check()
        return dg.AssetCheckResult(passed=world.check_passes)

    built = dg.map_asset_specs(
        lambda spec: spec.replace_attributes(automation_condition=world.condition),
        [split_rows, words, model, summary],
    )
    return dg.Definitions(assets=[rows_file, *built], asset_checks=[enough_rows, *world.checks])
