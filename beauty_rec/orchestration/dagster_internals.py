"""The private parts of Dagster that this package leans on, all in one place.

Staleness by split has no public interface, and some public functions return types that have none.
A new release of Dagster is tried by running the tests of `orchestration`.
"""

import time

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
from dagster._core.events import EngineEventData
from dagster._core.execution.execution_result import ExecutionResult
from dagster._core.loader import LoadingContext
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES as JUDGED,
)
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
)
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._utils.interrupts import _received_interrupt

__all__ = [
    "JUDGED",
    "MAX_RETRIES_TAG",
    "AssetCheckExecutionRecord",
    "AssetKeyPartitionKey",
    "AutomationResult",
    "BaseAssetGraph",
    "CachingStaleStatusResolver",
    "EngineEventData",
    "ExecutionResult",
    "LoadingContext",
    "ModuleCodePointer",
    "ReconstructableRepository",
    "StaleCause",
    "StaleCauseCategory",
    "StaleStatus",
    "UnresolvedAssetJobDefinition",
    "ask_executor_to_stop",
]


def ask_executor_to_stop() -> bool:
    """Ask the executor that runs in this process to end its steps; return whether one took it up.

    One that runs each step in a process or a pod of its own looks several times a second for an
    interrupt; the one that runs steps in this process never does.
    """
    _received_interrupt["received"] = True
    time.sleep(0.5)
    taken = not _received_interrupt["received"]
    _received_interrupt["received"] = False
    return taken
