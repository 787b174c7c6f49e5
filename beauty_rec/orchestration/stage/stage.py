"""`stage`: an `@asset` that knows its code, its settings and its cost.

* ``settings`` names the hyper-parameters that an asset's result depends on, the code is found (see
  :mod:`.imports`); both are hashed into its ``code_version``, so a change of either makes it stale.
* ``reads`` names the parts of a parent (see :func:`~.partitions.encode_parts`) that matter;
  ``"own"`` is the asset's own split.
* Seconds and peak memory stand in the metadata of every materialization.
* The settings that it names are its config in the launchpad (see :mod:`.launchpad`).
* ``gpu=True``: it runs on a lent GPU (see :mod:`.gpu`), in the pool ``gpu``, and asks a cluster for
  one. ``retries=True``: it is tried again after a lost connection, and after nothing else.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

import dagster as dg

from beauty_rec.orchestration.refresh.single_runs import beside_no_refresh
from beauty_rec.orchestration.stage.cluster import cluster_tags
from beauty_rec.orchestration.stage.gpu import Device, GpuResource
from beauty_rec.orchestration.stage.launchpad import (
    config_schema,
    differences,
    overridden,
    overridden_version,
)
from beauty_rec.orchestration.stage.measure import measure
from beauty_rec.orchestration.stage.retryable import is_passing
from beauty_rec.orchestration.stage.versions import CODE_VERSION_TAG, with_code_versions
from beauty_rec.settings import ExecutionSettings, Settings, holds_secret, redacted
from beauty_rec.tracing import span

OWNERS = ["team:recommendations"]
GPU_POOL = "gpu"

_USED_VERSION: ContextVar[str | None] = ContextVar("used_code_version", default=None)
_DEFAULTS = Settings.model_construct()
_BUILDERS: dict[dg.AssetKey, Callable[[Settings], dg.AssetsDefinition]] = {}


def stage(
    *,
    group: str,
    io: str,
    settings: Iterable[str] = (),
    reads: Mapping[str, Iterable[str]] | None = None,
    read_as: Iterable[str] = (),
    kinds: Iterable[str] = ("python",),
    gpu: bool = False,
    gpus: str | None = None,
    pool: str | None = None,
    retries: bool = False,
    served: bool = False,
    **asset_arguments: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorate an asset function; see the module's docstring for ``settings`` and ``reads``.

    Args:
        group: the asset group, as in the UI.
        io: the IO manager's key.
        settings: groups or fields of :class:`Settings`: ``encoder``, ``evaluation.seed``.
        reads: parent name → the parts of it that this asset reads.
        read_as: the parts of this asset that a child reads which names none.
        kinds: shown as icons in the UI.
        gpu: whether it runs on a GPU where there is one.
        gpus: setting that says how many GPUs it takes; None: one.
        pool: what it waits for; a step on a GPU waits for that pool.
        retries: whether it talks to a server, so that an error may pass by itself.
        served: whether requests are answered from it, so that its age matters.
        asset_arguments: handed to ``dagster.asset``.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        metadata = {
            "beauty_rec/function": [function.__module__, function.__name__],
            "beauty_rec/gpu": gpu,
            "beauty_rec/io": io,
            "beauty_rec/settings": list(settings),
            "beauty_rec/reads": {parent: list(parts) for parent, parts in (reads or {}).items()},
            "beauty_rec/read_as": list(read_as),
        }

        def build(built_for: Settings) -> dg.AssetsDefinition:
            found: dg.AssetsDefinition = dg.asset(
                group_name=group,
                io_manager_key=io,
                owners=OWNERS,
                kinds=set(kinds),
                metadata=metadata,
                config_schema=config_schema(settings, built_for),
                pool=GPU_POOL if gpu else pool,
                retry_policy=_retry_policy(built_for.execution) if retries else None,
                op_tags=cluster_tags(built_for, gpu=gpu),
                freshness_policy=_freshness(built_for) if served else None,
                **asset_arguments,
            )(_measured(function, built_for.data_dir, gpu=gpu, gpus=gpus, retries=retries))
            return found

        asset = build(_DEFAULTS)
        _BUILDERS[asset.key] = build
        return asset

    return decorate


def for_settings(
    assets: Iterable[dg.AssetsDefinition], settings: Settings
) -> list[dg.AssetsDefinition]:
    """Return the stages as the settings have them: launchpad, retries, tags and code version."""
    made = [_BUILDERS[a.key](settings) if a.key in _BUILDERS else a for a in assets]
    return with_code_versions(made, settings)


def _measured(
    function: Callable[..., Any], data_dir: Path, *, gpu: bool, gpus: str | None, retries: bool
) -> Callable[..., Any]:
    """Return what a step of a data folder runs: the function, with all that is done around it."""

    def built(context: dg.AssetExecutionContext, *args: Any, **kwargs: Any) -> dg.Output[Any]:
        given = kwargs.get("settings")
        config = context.op_execution_context.op_config
        used = given if given is None else overridden(given, config)
        count = 1 if gpus is None or used is None else attrgetter(gpus)(used)
        lent = _lent(kwargs.pop("gpu", None), count)
        split = context.partition_key if context.has_partition_key else None
        traced = span(
            "asset",
            asset=str(context.asset_key.to_user_string()),
            split=split,
            run_id=context.run.run_id,
        )
        with measure() as cost, traced, lent as device:
            changed = {} if given is None or used is None else differences(given, used)
            tags = _overridden_tags(context, changed)
            if used is not None:
                kwargs["settings"] = device.applied_to(used)
            version = _USED_VERSION.set(tags.get(CODE_VERSION_TAG))
            try:
                value = function(context, *args, **kwargs)
            except Exception as error:
                tried_again = not retries or is_passing(error)
                if holds_secret(error):  # Dagster keeps what an error says
                    said = redacted(f"{type(error).__name__}: {error}")
                    raise dg.Failure(said, allow_retries=tried_again) from None
                if not tried_again:
                    raise dg.Failure(str(error), allow_retries=False) from error
                raise
            finally:
                _USED_VERSION.reset(version)
        context.add_asset_metadata(cost | device.figures)
        return dg.Output(value, tags=tags)

    def in_its_turn(
        context: dg.AssetExecutionContext, *args: Any, **kwargs: Any
    ) -> Iterator[dg.Output[Any]]:
        with beside_no_refresh(context, data_dir):
            # Dagster comes back when it has stored the output, and recorded that.
            yield built(context, *args, **kwargs)

    @functools.wraps(function)
    def measured(context: dg.AssetExecutionContext, *args: Any, **kwargs: Any) -> Any:
        # No generator itself: of such a one Dagster reads no type of the output.
        return in_its_turn(context, *args, **kwargs)

    _shape(measured, function, gpu)
    return measured


@contextmanager
def _lent(gpu: GpuResource | None, count: int) -> Iterator[Device]:
    """Yield what a step runs on: of a GPU that it was not lent another step has the memory."""
    if gpu is None:
        yield Device("cpu", "auto")
        return
    with gpu.lend(count) as device:
        yield device


def _shape(measured: Callable[..., Any], function: Callable[..., Any], gpu: bool) -> None:
    """Give ``measured`` the signature by which Dagster hands over what it and ``function`` need.

    That of ``function``, with one parameter more for a lent GPU, and with its result in an
    ``Output``, which carries the code version of an override.
    """
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    annotations = dict(function.__annotations__)
    if gpu:
        asked = inspect.Parameter("gpu", inspect.Parameter.KEYWORD_ONLY, annotation=GpuResource)
        parameters.append(asked)
        annotations["gpu"] = GpuResource
    annotations["return"] = dg.Output[annotations.get("return", Any)]  # type: ignore[misc]
    measured.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=annotations["return"]
    )
    measured.__annotations__ = annotations


def used_code_version(context: dg.AssetExecutionContext) -> str | None:
    """Return the code version that stands for what the running asset is made with.

    Its own, or the one that stands for an override.
    """
    spec = context.assets_def.get_asset_spec(context.asset_key)
    return _USED_VERSION.get() or spec.code_version


def _overridden_tags(
    context: dg.AssetExecutionContext, changed: Mapping[str, Any]
) -> dict[str, str]:
    """Return the tags of a materialization for what was typed into the launchpad."""
    if not changed:
        return {}
    context.add_asset_metadata({"overridden": dict(changed)})
    return {CODE_VERSION_TAG: overridden_version(used_code_version(context), changed)}


def _retry_policy(execution: ExecutionSettings) -> dg.RetryPolicy:
    return dg.RetryPolicy(
        max_retries=execution.retries,
        delay=execution.retry_seconds,
        backoff=dg.Backoff.EXPONENTIAL,
        jitter=dg.Jitter.PLUS_MINUS,
    )


def _freshness(settings: Settings) -> dg.FreshnessPolicy:
    """Return how old what is served may be: a night and some."""
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=settings.checks.served_fail_hours),
        warn_window=timedelta(hours=settings.checks.served_warn_hours),
    )
