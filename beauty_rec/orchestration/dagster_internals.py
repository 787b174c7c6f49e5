"""The private parts of Dagster that this package leans on, all in one place.

Staleness by split has no public interface, and some public functions return types that have none.
A new release of Dagster is tried by running the tests of `orchestration`.
"""

from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.data_version import (
    CachingStaleStatusResolver,
    StaleCause,
    StaleCauseCategory,
    StaleStatus,
)
from dagster._core.definitions.declarative_automation.automation_condition import (
    AutomationResult,
)
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)
from dagster._core.execution.execution_result import ExecutionResult
from dagster._core.loader import LoadingContext
from dagster._core.storage.tags import MAX_RETRIES_TAG

__all__ = [
    "MAX_RETRIES_TAG",
    "AssetKeyPartitionKey",
    "AutomationResult",
    "BaseAssetGraph",
    "CachingStaleStatusResolver",
    "ExecutionResult",
    "LoadingContext",
    "ModuleCodePointer",
    "ReconstructableRepository",
    "StaleCause",
    "StaleCauseCategory",
    "StaleStatus",
    "UnresolvedAssetJobDefinition",
]
