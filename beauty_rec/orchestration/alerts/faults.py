"""What is wrong now, as Dagster's records, the served set and the report have it."""

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from beauty_rec.orchestration.dagster_internals import JUDGED
from beauty_rec.orchestration.refresh.dead_runs import is_launched
from beauty_rec.orchestration.refresh.lock import PARENT_TAG
from beauty_rec.recommender.online.sets.manifest import ManifestError
from beauty_rec.serving.published.checked import up_to_date_at
from beauty_rec.serving.published.manifest import read_manifest
from beauty_rec.settings import redacted


class Fault(BaseModel):
    """A line for people, and since when, seconds, where that decides when it is over."""

    line: str
    at: float = 0


Faults = dict[str, Fault]
"""By the key that names a fault as long as it lasts."""

OVERLAP_SECONDS = 120
"""Runs that ended this long before the last look are looked at again: records may come late."""
FIRST_LOOK_SECONDS = 7 * 86_400
HISTORY = 12
"""Latest verdicts of a check: of each split the last one counts."""
COMPARED = ("recall@10", "ndcg@10", "mrr")


def failed_runs(
    instance: dg.DagsterInstance, stood: Mapping[str, Fault], since: float | None, now: float
) -> Faults:
    """Return the runs that failed and did not succeed since.

    A run is known by its job, its assets and its split: a failed night stands until a night
    succeeds, a failed asset until it is materialized, by whatever run. Steps of a job are said by
    the job.

    Args:
        instance: Dagster's records.
        stood: the faults that stood at the last look.
        since: the time of the last look, seconds; None at the first one.
        now: seconds.
    """
    after = now - FIRST_LOOK_SECONDS if since is None else since - OVERLAP_SECONDS
    records = instance.get_run_records(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
            updated_after=datetime.fromtimestamp(after, UTC),
        )
    )
    found = dict(stood)
    for record in sorted(records, key=_ended):
        run, ended = record.dagster_run, _ended(record)
        of_a_job = PARENT_TAG in run.tags and not is_launched(run)
        if of_a_job or ended < after:  # an old record may be touched again
            continue
        key, name = _named(run)
        found.pop(key, None)
        if run.status is dg.DagsterRunStatus.FAILURE:
            line = f"run failed: {name} (run {run.run_id[:8]})"
            found[key] = Fault(line=stood[key].line if key in stood else line, at=ended)
    return {key: fault for key, fault in found.items() if not _mended(instance, key, fault)}


def _ended(record: dg.RunRecord) -> float:
    return record.end_time or record.update_timestamp.timestamp()


def _named(run: dg.DagsterRun) -> tuple[str, str]:
    """Return the key and the name of a run's fault."""
    assets = sorted(key.to_user_string() for key in run.asset_selection or ())
    split = run.tags.get("dagster/partition", "")
    name = run.tags.get("beauty_rec/job") or run.job_name
    if assets:  # the same fault, whoever asked for them
        name = ", ".join(assets[:5]) + (f" and {len(assets) - 5} more" if len(assets) > 5 else "")
    return f"run:{json.dumps([name, assets, split])}", f"{name}[{split}]" if split else name


def _mended(instance: dg.DagsterInstance, key: str, fault: Fault) -> bool:
    """Whether all assets of a failed run were materialized after it."""
    _, assets, split = json.loads(key.removeprefix("run:"))
    return bool(assets) and all(
        instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=dg.AssetKey.from_user_string(asset),
                asset_partitions=[split] if split else None,
                after_timestamp=fault.at,
            ),
            limit=1,
        ).records
        for asset in assets
    )


def failed_checks(instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]) -> Faults:
    """Return the checks whose last verdict is a failure, of each split its own."""
    found: Faults = {}
    storage = instance.event_log_storage
    for key in sorted(keys, key=str):
        seen: set[str | None] = set()
        for record in storage.get_asset_check_execution_history(key, HISTORY, status=JUDGED):
            evaluation = record.evaluation
            if evaluation is None or record.partition in seen:
                continue
            seen.add(record.partition)
            if not evaluation.passed:
                split = f"[{record.partition}]" if record.partition else ""
                name = f"{key.asset_key.to_user_string()}{split}"
                warning = evaluation.severity is dg.AssetCheckSeverity.WARN
                kind = "check warns" if warning else "check failed"
                said = redacted(evaluation.description or "see its page")
                line = f"{kind}: {name} {key.name}: {said}"
                found[f"check:{name}:{key.name}"] = Fault(line=line)
    return found


def stale_set(
    root: Path, fail_hours: float, stood: Mapping[str, Fault], now: float | None = None
) -> Faults:
    """Return whether nobody has published or checked for ``fail_hours``, or nothing can be read.

    Where nothing can be read, nothing says that what ``stood`` is over.
    """
    try:
        manifest = read_manifest(root)
        then = up_to_date_at(root, manifest)
    except FileNotFoundError:
        return dict(stood)
    except (ManifestError, ValueError) as error:
        return {**stood, "unreadable": Fault(line=f"served set unreadable: {redacted(str(error))}")}
    hours = ((time.time() if now is None else now) - then) / 3600
    if hours <= fail_hours:
        return {}
    line = (
        f"served set stale: {manifest.set}, published {manifest.created_at}, was not found to be "
        f"up to date within checks.served_fail_hours = {fail_hours:g}"
    )
    return {"stale": Fault(line=line)}


def figures_of(report: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return what people are served, measured on test: name → value, low, high."""
    found: dict[str, list[float]] = {}
    for scenario, methods in report.get("answer", {}).get("test", {}).items():
        block = methods.get("served") or {}
        for metric in COMPARED:
            value, bounds = block.get(metric), block.get("intervals", {}).get(metric)
            if value is not None and bounds is not None:
                found[f"{scenario} {metric}"] = [float(value), *map(float, bounds)]
    return found


def dropped(before: Mapping[str, list[float]], now: Mapping[str, list[float]]) -> Faults:
    """Return the metrics that lie below the interval that they had before."""
    return {
        f"metrics:{name}": Fault(
            line=f"metric dropped: test served {name} is {now[name][0]:.4f}, below the "
            f"95% interval [{low:.4f}, {high:.4f}] of the set before ({value:.4f})"
        )
        for name, (value, low, high) in before.items()
        if name in now and now[name][0] < low
    }


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a file's object; None where there is none, or none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
