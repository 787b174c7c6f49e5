"""What is missing or stale. The one place that leans on Dagster's internal resolver."""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.data_version import (
    CachingStaleStatusResolver,
    StaleCause,
    StaleStatus,
)
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.loader import LoadingContext

from beauty_rec.orchestration.partitions import decode_parts


class _OneLook(LoadingContext):
    """Dagster's cache of one look at the instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._loaders: dict = {}

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict:
        return self._loaders


class PartAwareResolver(CachingStaleStatusResolver):
    """Dagster's resolver, but an asset that reads parts of a parent follows those parts only.

    ``split_reviews`` is one asset for all splits; its data version holds a version for each. The
    keywords of train are stale when the reviews of train changed, not when those of test did.
    """

    def _get_stale_causes_materialized(self, key: AssetKeyPartitionKey) -> Iterator[StaleCause]:
        node = self.asset_graph.get(key.asset_key)
        reads = node.metadata.get("beauty_rec/reads", {})
        provenance = self._get_current_data_provenance(key=key)
        for cause in super()._get_stale_causes_materialized(key):
            parent = cause.dependency
            parts = reads.get(parent.asset_key.to_user_string()) if parent else None
            if parent and parts and provenance and provenance.has_input_asset(parent.asset_key):
                wanted = [str(key.partition_key) if part == "own" else part for part in parts]
                used = decode_parts(provenance.input_data_versions[parent.asset_key].value)
                now = decode_parts(self._get_current_data_version(key=parent).value)
                if used and all(used.get(part) == now.get(part) for part in wanted):
                    continue
            yield cause


def stale_reason(
    instance: dg.DagsterInstance,
    graph: BaseAssetGraph,
    key: dg.AssetKey,
    partition: str | None,
) -> str | None:
    """Return why an asset (and split) has to be built, in a few words; None when it is fresh."""
    resolver = PartAwareResolver(instance, graph, _OneLook(instance))
    status = resolver.get_status(key, partition)
    if status == StaleStatus.MISSING:
        return "never built"
    if status == StaleStatus.STALE:
        return _describe(resolver.get_stale_causes(key, partition))
    return None


def _describe(causes: Sequence[StaleCause]) -> str:
    reasons = []
    for cause in causes:
        if cause.dependency is None:
            reasons.append("its code or settings changed")
        else:
            reasons.append(f"{cause.dependency.asset_key.to_user_string()} changed")
    return ", ".join(dict.fromkeys(reasons))
