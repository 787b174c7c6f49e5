"""`stage`: an `@asset` that knows its code, its settings and its cost.

* ``code`` and ``settings`` name what an asset's result depends on; :func:`with_code_versions`
  hashes them into its ``code_version``, so a changed module or hyper-parameter makes it stale.
* ``reads`` names the parts of a parent (see :func:`~.partitions.encode_parts`) that matter;
  ``"own"`` is the asset's own split.
* Seconds and peak memory stand in the metadata of every materialization.
"""

import functools
import hashlib
import inspect
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from beauty_rec.settings import Settings

PACKAGE = Path(__file__).parent.parent
OWNERS = ["team:recommendations"]
SAMPLE_EVERY_S = 0.05


def stage(
    *,
    group: str,
    io: str,
    code: Iterable[str] = (),
    settings: Iterable[str] = (),
    reads: Mapping[str, Iterable[str]] | None = None,
    kinds: Iterable[str] = ("python",),
    **asset_arguments: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorate an asset function; see the module's docstring for ``code``, ``settings``, ``reads``.

    Args:
        group: the asset group, as in the UI.
        io: the IO manager's key.
        code: paths below the package: a folder or a module.
        settings: groups or fields of :class:`Settings`: ``encoder``, ``evaluation.seed``.
        reads: parent name → the parts of it that this asset reads.
        kinds: shown as icons in the UI.
        asset_arguments: handed to ``dagster.asset``.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        @functools.wraps(function)
        def measured(context: dg.AssetExecutionContext, *args: Any, **kwargs: Any) -> Any:
            with measure() as cost:
                value = function(context, *args, **kwargs)
            context.add_asset_metadata(cost)
            return value

        metadata = {
            "beauty_rec/code": list(code),
            "beauty_rec/settings": list(settings),
            "beauty_rec/reads": {parent: list(parts) for parent, parts in (reads or {}).items()},
            "beauty_rec/source": hashlib.sha256(inspect.getsource(function).encode()).hexdigest(),
        }
        return dg.asset(
            group_name=group,
            io_manager_key=io,
            owners=OWNERS,
            kinds=set(kinds),
            metadata=metadata,
            **asset_arguments,
        )(measured)

    return decorate


@contextmanager
def measure() -> Iterator[dict[str, float]]:
    """Yield a dictionary that holds ``seconds`` and ``peak_memory_mb`` at the end.

    The memory is the resident set of this process and its children, sampled.
    """
    process = psutil.Process()
    peak = 0
    done = threading.Event()

    def resident() -> int:
        total = 0
        for member in [process, *process.children(recursive=True)]:
            try:
                total += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            done.wait(SAMPLE_EVERY_S)

    cost: dict[str, float] = {}
    watcher = threading.Thread(target=watch, daemon=True)
    started = time.perf_counter()
    watcher.start()
    try:
        yield cost
    finally:
        done.set()
        watcher.join()
        cost["seconds"] = round(time.perf_counter() - started, 3)
        cost["peak_memory_mb"] = round(max(peak, resident()) / 2**20, 1)


def with_code_versions(
    assets: Iterable[dg.AssetsDefinition], settings: Settings
) -> list[dg.AssetsDefinition]:
    """Give each stage a ``code_version`` from its source, its modules and its settings."""
    # Of the language model only what shapes its answers, not where and how fast it is asked.
    values = {**settings.model_dump(mode="json"), "llm": settings.llm.answering()}

    def versioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        if "beauty_rec/code" not in spec.metadata:
            return spec
        digest = hashlib.sha256(str(spec.metadata["beauty_rec/source"]).encode())
        for path in _modules(spec.metadata["beauty_rec/code"]):
            digest.update(path.read_bytes())
        chosen = {name: _pick(values, name) for name in spec.metadata["beauty_rec/settings"]}
        digest.update(json.dumps(chosen, sort_keys=True).encode())
        return spec.replace_attributes(code_version=digest.hexdigest()[:16])

    return list(dg.map_asset_specs(versioned, assets))


def _pick(values: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values


def _modules(names: Iterable[str]) -> Iterator[Path]:
    """Yield the source and data files of folders and modules named relative to the package."""
    for name in names:
        path = PACKAGE / name
        if not path.exists():
            raise FileNotFoundError(f"{path} is named as code of a stage but does not exist")
        files = path.rglob("*") if path.is_dir() else [path]
        yield from sorted(f for f in files if f.suffix in {".py", ".toml", ".md"})
