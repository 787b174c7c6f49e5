"""Staleness: which assets and splits are missing or out of date, and why."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import dagster as dg

from beauty_rec.orchestration.dagster_internals import (
    AssetKeyPartitionKey,
    BaseAssetGraph,
    CachingStaleStatusResolver,
    LoadingContext,
    StaleCause,
    StaleCauseCategory,
    StaleStatus,
)
from beauty_rec.orchestration.refresh.anew import made_anew
from beauty_rec.orchestration.refresh.check_records import refusal
from beauty_rec.orchestration.refresh.kept import NOTHING, Kept, Stale
from beauty_rec.orchestration.stage.partitions import decode_parts
from beauty_rec.orchestration.storage.holdings import Fault, Holdings
from beauty_rec.settings import SPLITS

K = TypeVar("K")
V = TypeVar("V")


class _OneLook(LoadingContext):
    """Dagster's cache of one look at the instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._loaders: dict[Any, Any] = {}

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[Any, Any]:
        return self._loaders


class PartAwareResolver(CachingStaleStatusResolver):
    """Dagster's resolver, but an asset that reads parts of a parent follows those parts only.

    ``split_reviews`` is one asset for all splits; its data version holds a version for each. The
    keywords of train are stale when the reviews of train changed, not when those of test did.
    """

    def _get_stale_causes_materialized(self, key: AssetKeyPartitionKey) -> Iterator[StaleCause]:
        provenance = self._get_current_data_provenance(key=key)
        for cause in super()._get_stale_causes_materialized(key):
            parent = cause.dependency
            if parent and provenance and provenance.has_input_asset(parent.asset_key):
                used = provenance.input_data_versions[parent.asset_key].value
                now = self._get_current_data_version(key=parent).value
                same = self.part_read(key, parent, used) == self.part_read(key, parent, now)
                if decode_parts(used) and same:
                    continue
            yield cause

    def part_read(
        self, key: AssetKeyPartitionKey, parent: AssetKeyPartitionKey, version: str
    ) -> str:
        """Return the part of ``version`` (of ``parent``) that the asset ``key`` follows."""
        reads = self.asset_graph.get(key.asset_key).metadata.get("beauty_rec/reads", {})
        usual = self.asset_graph.get(parent.asset_key).metadata.get("beauty_rec/read_as", [])
        wanted = reads.get(parent.asset_key.to_user_string(), usual)
        parts = decode_parts(version)
        if not wanted or not parts:
            return version
        own = str(key.partition_key)
        return str([parts.get(own if part == "own" else part) for part in wanted])

    def inputs(self, key: AssetKeyPartitionKey) -> Sequence[AssetKeyPartitionKey]:
        """Return what the asset (and split) depends on."""
        return self._get_partition_dependencies(key=key)

    def last_record(self, key: AssetKeyPartitionKey) -> dg.EventLogRecord | None:
        """Return the record of the last materialization."""
        return self._get_latest_data_version_record(key=key)

    def fingerprint(self, key: AssetKeyPartitionKey) -> str:
        """Return 16 hex digits that stand for the code and the inputs of the asset as they are."""
        parts: list[str | None] = [self.asset_graph.get(key.asset_key).code_version]
        for parent in sorted(self.inputs(key)):
            version = self._get_current_data_version(key=parent).value
            parts += [str(parent), self.part_read(key, parent, version)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


class Look:
    """One look at the instance: whatever is asked of it is as of one moment.

    Args:
        instance: where the records are.
        graph: of the code location.
        kept: what is left as it is while only its data changed.
        holdings: the artifacts, to be held against the records; None: the records are believed.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        graph: BaseAssetGraph[Any],
        kept: Kept = NOTHING,
        holdings: Holdings | None = None,
    ) -> None:
        self._holdings = holdings
        self._instance = instance
        self._graph = graph
        self._kept = kept
        self._resolver = PartAwareResolver(instance, graph, _OneLook(instance))
        self._stale: dict[AssetKeyPartitionKey, Stale | None] = {}
        self._waits: dict[AssetKeyPartitionKey, bool] = {}
        self._faults: dict[AssetKeyPartitionKey, Fault | None] = {}

    def stale(self, key: dg.AssetKey, partition: str | None = None) -> Stale | None:
        """Return why an asset (and split) is stale or missing; None when it is fresh.

        An asset that a blocking check has refused or not judged counts as stale, and one whose
        artifact is missing or damaged.
        """
        place = AssetKeyPartitionKey(key, partition)
        return _kept(self._stale, place, lambda: self._find(place))

    def due(self, key: dg.AssetKey, partition: str | None = None) -> Stale | None:
        """Return the same, but None for a kept asset of which only the data changed."""
        found = self.stale(key, partition)
        return None if found and self.keeps(key, partition, found) else found

    def foreseen(
        self, key: dg.AssetKey, partition: str | None, touched: Collection[tuple[Any, ...]]
    ) -> Stale | None:
        """Return why it will be stale when what is ``touched`` has changed, or None."""
        found = self.stale(key, partition)
        above = {p.asset_key.to_user_string() for p in self.inputs(key, partition) if p in touched}
        if not above:
            return found
        found = found or Stale("", by_data=True)
        return replace(found, changed=found.changed | above)

    def keeps(
        self,
        key: dg.AssetKey,
        partition: str | None,
        found: Stale,
        touched: Collection[tuple[Any, ...]] = frozenset(),
    ) -> bool:
        """Tell whether a stale asset (and split) is left as it is.

        Args:
            key, partition: of the asset.
            found: why it is stale.
            touched: assets and splits that will have changed.
        """
        name = key.to_user_string()
        if not (found.by_data and self._kept.keeps(name, found.changed)):
            return False
        if name not in self._kept.measures:
            return True
        anew = made_anew(self._kept, self._followed, lambda at: self.foreseen(*at, touched))
        return AssetKeyPartitionKey(key, partition) not in anew

    def inputs(
        self, key: dg.AssetKey, partition: str | None = None
    ) -> Sequence[AssetKeyPartitionKey]:
        """Return the assets (and splits) that the asset (and split) depends on."""
        return self._resolver.inputs(AssetKeyPartitionKey(key, partition))

    @cached_property
    def _followed(self) -> dict[AssetKeyPartitionKey, Sequence[AssetKeyPartitionKey]]:
        """The inputs of each model and measure (and split)."""
        places = [
            AssetKeyPartitionKey(key, split)
            for key in self._graph.materializable_asset_keys
            if key.to_user_string() in self._kept.followed
            for split in (SPLITS if self._graph.get(key).is_partitioned else (None,))
        ]
        return {place: self.inputs(*place) for place in places}

    def waits(self, key: dg.AssetKey, partition: str | None = None) -> bool:
        """Tell whether anything above the asset (and split) is due."""
        place = AssetKeyPartitionKey(key, partition)

        def above() -> bool:
            return any(
                self._graph.get(parent.asset_key).is_materializable
                and (self.due(*parent) is not None or self.waits(*parent))
                for parent in self.inputs(*place)
            )

        return _kept(self._waits, place, above)

    def fingerprint(self, key: dg.AssetKey, partition: str | None = None) -> str:
        """Return 16 hex digits that stand for the code and the inputs of the asset as they are.

        With damage others: each time that it happens.
        """
        place = AssetKeyPartitionKey(key, partition)
        found = self._resolver.fingerprint(place)
        fault = self._fault(place)
        if fault is None:
            return found
        return hashlib.sha256(f"{found} {fault.record} {fault.reason}".encode()).hexdigest()[:16]

    def fault(self, key: dg.AssetKey, partition: str | None = None) -> str | None:
        """Return what is missing or damaged of an asset (and split) that was built, or None."""
        found = self._fault(AssetKeyPartitionKey(key, partition))
        return None if found is None else found.reason

    def _fault(self, place: AssetKeyPartitionKey) -> Fault | None:
        def find() -> Fault | None:
            if self._holdings is None or self._resolver.get_status(*place) == StaleStatus.MISSING:
                return None
            metadata = self._graph.get(place.asset_key).metadata
            return self._holdings.fault(self._instance, place.asset_key, metadata, place[1])

        return _kept(self._faults, place, find)

    def _find(self, place: AssetKeyPartitionKey) -> Stale | None:
        status = self._resolver.get_status(*place)
        if status == StaleStatus.MISSING:
            return Stale("never built", by_data=False)
        if status == StaleStatus.STALE:
            causes = _describe(self._resolver.get_stale_causes(*place))
            if not causes.by_data:
                return causes
        if (fault := self._fault(place)) is not None:
            return Stale(fault.reason, by_data=False)
        if (refused := self._refusal(place)) is not None:
            return Stale(refused, by_data=False)
        return causes if status == StaleStatus.STALE else None

    def _refusal(self, place: AssetKeyPartitionKey) -> str | None:
        built = self._resolver.last_record(place)
        return built and refusal(self._instance, self._graph, place.asset_key, built)


def _kept(known: dict[K, V], key: K, find: Callable[[], V]) -> V:
    if key not in known:
        known[key] = find()
    return known[key]


def _describe(causes: Sequence[StaleCause]) -> Stale:
    parents = [c.dependency and c.dependency.asset_key.to_user_string() for c in causes]
    reasons = [f"{name} changed" if name else "its code or settings changed" for name in parents]
    by_data = all(cause.category == StaleCauseCategory.DATA for cause in causes)
    return Stale(", ".join(dict.fromkeys(reasons)), by_data, frozenset(filter(None, parents)))
