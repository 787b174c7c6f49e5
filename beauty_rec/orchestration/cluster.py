"""Where steps run: in this process, in processes of their own, on Ray, or as Kubernetes pods.

``execution.executor`` swaps one for another. Nothing else changes: steps meet only through the
artifact store, the instance and, for the indexes, their servers.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from beauty_rec.settings import ExecutionSettings, Settings

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


def executor_of(settings: ExecutionSettings) -> dg.ExecutorDefinition:
    """Return the executor that the settings name, configured.

    Raises:
        RuntimeError: the packages of a cluster are not installed; says how to get them.
    """
    make: dict[str, Callable[[ExecutionSettings], dg.ExecutorDefinition]] = {
        # A step process costs seconds of imports; runs go side by side, steps one by one.
        "in_process": lambda _: dg.in_process_executor,
        "multiprocess": lambda told: dg.multiprocess_executor.configured(
            {"max_concurrent": told.max_concurrent}
        ),
        "ray": _ray,
        "k8s": _kubernetes,
    }
    return make[settings.executor](settings)


def _ray(settings: ExecutionSettings) -> dg.ExecutorDefinition:
    try:
        from dagster_ray.core.executor import ray_executor
    except ImportError as error:
        raise _missing("ray", error) from error
    address = {} if settings.ray_address is None else {"address": settings.ray_address}
    return ray_executor.configured({"ray": address})


def _kubernetes(settings: ExecutionSettings) -> dg.ExecutorDefinition:
    try:
        from dagster_k8s import k8s_job_executor
    except ImportError as error:
        raise _missing("k8s", error) from error
    told = {
        "max_concurrent": settings.max_concurrent,
        "job_image": settings.k8s_image,
        "job_namespace": settings.k8s_namespace,
    }
    return k8s_job_executor.configured({n: v for n, v in told.items() if v is not None})


def _missing(executor: str, error: ImportError) -> RuntimeError:
    return RuntimeError(
        f"execution.executor={executor} needs packages that are not installed ({error}): "
        "pip install 'beauty-rec[cluster]'"
    )
