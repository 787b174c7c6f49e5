"""Executors: steps run in this process, in processes of their own, on Ray, or as Kubernetes pods.

``execution.executor`` swaps one for another. Nothing else changes: steps meet only through the
artifact store, the instance and, for the indexes, their servers.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from beauty_rec.orchestration.dagster_internals import (
    ExecutionResult,
    ModuleCodePointer,
    ReconstructableRepository,
)
from beauty_rec.orchestration.refresh.lock import PARENT_TAG
from beauty_rec.settings import Settings, secret_variables

GPU_RESOURCE = "nvidia.com/gpu"
GIB = 2**30


def cluster_tags(settings: Settings, *, gpu: bool) -> dict[str, Any]:
    """Return the tags of a step that tell Kubernetes and Ray what it needs."""
    execution = settings.execution
    gpus = settings.gpu.per_step if gpu else 0
    asked = {"cpu": f"{execution.step_cpus:g}", "memory": f"{execution.step_memory_gb:g}Gi"}
    pod: dict[str, Any] = {"container_config": {"resources": {"requests": asked}}}
    if gpus:
        pod["container_config"]["resources"]["limits"] = {GPU_RESOURCE: str(gpus)}
        taint = {"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}
        pod["pod_spec_config"] = {"tolerations": [taint]}
    ray: dict[str, Any] = {
        "num_cpus": execution.step_cpus,
        "memory": int(execution.step_memory_gb * GIB),
    }
    if gpus:
        ray["num_gpus"] = gpus
    return {"dagster-k8s/config": pod, "dagster-ray/config": ray}


def executor_of(settings: Settings) -> dg.ExecutorDefinition:
    """Return the executor that the settings name, configured.

    Raises:
        RuntimeError: the packages of a cluster are not installed; says how to get them.
    """
    make: dict[str, Callable[[Settings], dg.ExecutorDefinition]] = {
        # A step process costs seconds of imports; runs go side by side, steps one by one.
        "in_process": lambda _: dg.in_process_executor,
        "multiprocess": lambda settings: dg.multiprocess_executor.configured(
            {"max_concurrent": settings.execution.max_concurrent}
        ),
        "ray": _ray,
        "k8s": _kubernetes,
    }
    return make[settings.execution.executor](settings)


def _ray(settings: Settings) -> dg.ExecutorDefinition:
    try:
        from dagster_ray.core.executor import ray_executor
    except ImportError as error:
        raise _missing("ray", error) from error
    execution = settings.execution
    folder = execution.worker_data_dir or str(settings.data_dir)
    variables = {**settings.environment(), "BEAUTY_REC_DATA_DIR": folder}
    ray: dict[str, Any] = {
        "env_vars": [*(f"{name}={value}" for name, value in variables.items()), *secret_variables()]
    }
    if execution.ray_address is not None:
        ray["address"] = execution.ray_address
    executor: dg.ExecutorDefinition = ray_executor.configured({"ray": ray})
    return executor


def _kubernetes(settings: Settings) -> dg.ExecutorDefinition:
    try:
        from dagster_k8s import k8s_job_executor
    except ImportError as error:
        raise _missing("k8s", error) from error
    options = {
        "max_concurrent": settings.execution.max_concurrent,
        "job_image": settings.execution.k8s_image,
        "job_namespace": settings.execution.k8s_namespace,
    }
    stated = {name: value for name, value in options.items() if value is not None}
    executor: dg.ExecutorDefinition = k8s_job_executor.configured(stated)
    return executor


def _missing(executor: str, error: ImportError) -> RuntimeError:
    return RuntimeError(
        f"execution.executor={executor} needs packages that are not installed ({error}): "
        "in a clone, pip install -c constraints.txt -e '.[cluster]'"
    )


def run_step(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partition: str | None,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any],
) -> ExecutionResult:
    """Build one asset (and split) where the settings say; the result tells whether it was.

    With the executor ``in_process``: here. With another, this process waits while the executor's
    workers build; they load the code location by its name, with the settings that were kept.
    """
    settings = (definitions.resources or {}).get("settings")
    if not isinstance(settings, Settings) or settings.execution.executor == "in_process":
        job = definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            run_config=dict(run_config),
            instance=instance,
            asset_selection=[key],
            partition_key=partition,
            tags=dict(tags),
            raise_on_error=False,
        )

    with dg.execute_job(
        _as_of_the_job(instance, tags).get_reconstructable_job("__ASSET_JOB"),
        instance=instance,
        run_config=dict(run_config),
        asset_selection=[key],
        tags={**tags, **({} if partition is None else {"dagster/partition": partition})},
        raise_on_error=False,
    ) as result:
        return result


def _as_of_the_job(
    instance: dg.DagsterInstance, tags: Mapping[str, str]
) -> ReconstructableRepository:
    """Return the code location, to be loaded by its name where the job's own run was started.

    A pod of a step has no image and no variables but those that its run tells of.
    """
    pointer = ModuleCodePointer("beauty_rec.definitions", "defs")
    parent = instance.get_run_by_id(tags[PARENT_TAG]) if PARENT_TAG in tags else None
    if parent is None or parent.job_code_origin is None:
        return ReconstructableRepository(pointer)
    told = parent.job_code_origin.repository_origin
    return ReconstructableRepository(
        pointer,
        container_image=told.container_image,
        entry_point=told.entry_point,
        container_context=told.container_context,
    )
