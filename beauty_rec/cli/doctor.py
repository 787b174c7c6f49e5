"""What this machine has, and what would run on it."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from beauty_rec.artifacts import existing
from beauty_rec.cli.inputs import report_path, without_reviews
from beauty_rec.settings import Settings, offline
from beauty_rec.verified import nothing_kept

LOW_DISK_GB = 5


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: ``fail`` names the remedy."""

    verdict: Literal["ok", "note", "fail"]
    name: str
    text: str


def examine(settings: Settings) -> list[Finding]:
    """Return the findings for a data folder's settings, in a fixed order."""
    return [
        *_machine(),
        *_accelerator(),
        *language_model_findings(settings),
        *_encoders(settings),
        *_inputs(settings),
        *_artifacts(settings),
        *_disk(settings.data_dir),
    ]


def _machine() -> Iterator[Finding]:
    yield Finding(
        "ok",
        "machine",
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores",
    )


def _accelerator() -> Iterator[Finding]:
    import torch

    version = importlib.metadata.version("torch")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(number)
            memory = device.total_memory / 2**30
            yield Finding("ok", "gpu", f"cuda:{number} {device.name}, {memory:.0f} GiB")
    else:
        yield Finding("note", "gpu", f"none that torch {version} sees: everything runs on the CPU")


def language_model_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what each server of the language model is like, with the remedy of what is wrong."""
    import asyncio

    from beauty_rec.language.probe import look
    from beauty_rec.language.vllm_server import missing_program

    llm = settings.llm
    if llm.backend == "rules":
        yield Finding("note", "llm", "none is asked: rules read reviews and items (llm.backend)")
        return
    if llm.serve:
        missing = missing_program(llm)
        if missing is None:
            yield Finding("ok", "llm", f"{llm.vllm_command!r} will serve {llm.model} when needed")
        else:
            yield Finding("fail", "llm", missing)
        return
    for url in llm.base_urls:
        found = asyncio.run(look(llm, url, ask=True))
        if found.problem is None:
            yield Finding("ok", "llm", f"{url} serves {llm.model}, with structured output")
        else:
            yield Finding("fail", "llm", f"{url} {found.problem}")


def _encoders(settings: Settings) -> Iterator[Finding]:
    from beauty_rec.retriever.model_files import EncoderUnavailable, at_hand, fetch_command

    named = {"encoder": settings.encoder.model, "titles": settings.item_tower.title_encoder}
    for part, name in named.items():
        try:
            here = at_hand(name)
        except EncoderUnavailable as error:
            yield Finding("fail", part, str(error))
            continue
        if here:
            yield Finding("ok", part, f"{name} ({settings.profile} profile), on this machine")
            continue
        verdict: Literal["note", "fail"] = "fail" if offline() else "note"
        yield Finding(verdict, part, f"{name} is not on this machine: {fetch_command(name)}")


def _inputs(settings: Settings) -> Iterator[Finding]:
    if (fault := without_reviews(settings)) is not None:
        yield Finding("fail", "inputs", fault)
        return
    if settings.reviews is None:
        yield Finding("note", "inputs", "none named: the synthetic sample is used")
        return
    for kind, path in settings.inputs.items():
        if path is None:
            yield Finding("note", "inputs", f"no {kind} file")
        elif path.is_file():
            yield Finding("ok", "inputs", f"{kind}: {path} ({path.stat().st_size / 1e6:.1f} MB)")
        else:
            yield Finding(
                "fail",
                "inputs",
                f"{kind}: {path} is missing; beauty-rec run --{kind.replace('_', '-')} FILE",
            )


def _artifacts(settings: Settings) -> Iterator[Finding]:
    from beauty_rec.search.chroma.index import current_version
    from beauty_rec.search.protocol import IndexDamagedError

    yield from _built(settings)
    try:
        served = current_version(settings.data_dir / "chromadb")
    except IndexDamagedError:  # one of the faults above
        served = None
    if served is None:
        yield Finding("note", "text index", "not built yet; beauty-rec run")
    else:
        yield Finding(
            "ok",
            "text index",
            f"version {served.version}, {served.rows} items × {served.dimension}, "
            f"recall@100 {served.recall_vs_exact:.3f} against exact search",
        )
    yield _served_set(settings)
    report = report_path(settings)
    if not report.exists():
        yield Finding("note", "report", "not written yet; beauty-rec run")
    else:
        yield Finding("ok", "report", str(report))


def _built(settings: Settings) -> Iterator[Finding]:
    """Yield what is missing or damaged of what was built, and what is out of date."""
    if not (settings.data_dir / "dagster" / "dagster.yaml").exists():
        return
    from beauty_rec.orchestration.code_location import build_definitions
    from beauty_rec.orchestration.refresh.refresh import plan
    from beauty_rec.orchestration.refresh.staleness import Look
    from beauty_rec.orchestration.storage.dagster_home import open_copy
    from beauty_rec.orchestration.storage.holdings import Holdings

    with nothing_kept(), open_copy(settings.data_dir) as instance:
        definitions = build_definitions(settings)
        graph = definitions.resolve_asset_graph()
        steps = plan(definitions)
        look = Look(instance, graph, holdings=Holdings.of(definitions))
        faults = {step: look.fault(step.key, step.partition) for step in steps}
        stale = [step for step in steps if look.stale(step.key, step.partition) is not None]
    for step, fault in faults.items():
        if fault is not None:
            yield Finding("fail", "artifacts", f"{step}: {fault}; beauty-rec run")
    if not any(faults.values()):
        whole = f"{len(steps) - len(stale)} of {len(steps)} are up to date, none is damaged"
        yield Finding("note" if stale else "ok", "artifacts", whole)


def _served_set(settings: Settings) -> Finding:
    from beauty_rec.recommender.online.sets.manifest import ManifestError
    from beauty_rec.serving.published.release import served

    try:
        manifest = served(settings.data_dir / "serving").manifest
    except FileNotFoundError:
        return Finding("note", "serving", "no set published yet; beauty-rec run")
    except ManifestError as error:
        return Finding("fail", "serving", str(error))
    given = f"set {manifest.set}, published {manifest.created_at}"
    return Finding("ok", "serving", f"{given}; beauty-rec serve")


def _disk(data_dir: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(existing(data_dir)).free / 1e9
    verdict: Literal["ok", "fail"] = "ok" if free >= LOW_DISK_GB else "fail"
    advice = "" if verdict == "ok" else "; make room or name another --data-dir"
    yield Finding(verdict, "disk", f"{free:.0f} GB free at {data_dir}{advice}")
