"""Sensors of the daemon: input files that changed, stale assets, killed runs, alerts."""

import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from beauty_rec.orchestration.alerts.sensor import alert_sensor
from beauty_rec.orchestration.assets.raw import INPUT_OF
from beauty_rec.orchestration.refresh.dead_runs import end_dead_runs
from beauty_rec.orchestration.storage.records import DATA_VERSION
from beauty_rec.settings import Settings, memory_stamp
from beauty_rec.verified import Verified

SETTLED_SECONDS = 5
"""A file that was written less long ago may still be written to."""


def sensors(settings: Settings) -> Sequence[dg.SensorDefinition]:
    """Return the sensors for ``settings``; what starts by itself is said there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # of use_user_code_server
        rebuild = dg.AutomationConditionSensorDefinition(
            "rebuild_on_change",
            target=dg.AssetSelection.all(),
            use_user_code_server=True,
            emit_backfills=False,
            minimum_interval_seconds=10,
            run_tags={"beauty_rec/job": "rebuild_on_change"},
            default_status=_running(settings.schedule.on_change),
            description="Builds what is stale as soon as all above it is settled, all day long.",
        )
    return [_watch_inputs(settings), rebuild, _end_dead_runs(), alert_sensor(settings)]


def _watch_inputs(settings: Settings) -> dg.SensorDefinition:
    loaded, verified = memory_stamp(settings.data_dir), Verified.below(settings.data_dir)

    @dg.sensor(
        name="watch_inputs",
        minimum_interval_seconds=settings.schedule.watch_seconds,
        default_status=_running(True),
        description="Reports an observation when the content of an input file changed. A file is "
        "read only when its size, its time or its place on the disk did.",
    )
    def watch_inputs(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if memory_stamp(settings.data_dir) != loaded:  # it may have other inputs
            return dg.SkipReason("settings changed: reload the code location")
        known = json.loads(context.cursor) if context.cursor else {}
        observations: list[dg.AssetObservation] = []
        waiting: list[str] = []
        for asset, kind in INPUT_OF.items():
            path = settings.inputs[kind]
            stamp = _stamp(path)
            before = known.get(asset, {})
            if stamp is None and path is not None:
                waiting.append(f"{path} is missing")
            elif before.get("stamp") == stamp and before.get("version"):
                continue
            elif path is not None and 0 <= time.time() - path.stat().st_mtime < SETTLED_SECONDS:
                waiting.append(f"{path} was written just now")
            else:
                # Kept file by file: a tick that is cut short is not begun anew by the next.
                version = "none" if path is None else verified.content_hash(path)
                if version != before.get("version"):
                    observations.append(_observation(asset, version, path))
                # A file that changed while it was read keeps its old stamp: read again next time.
                known[asset] = {"stamp": stamp, "version": version}
        context.update_cursor(json.dumps(known))
        if observations:
            return dg.SensorResult(asset_events=observations)
        return dg.SkipReason("; ".join(waiting) or "no input file changed")

    return watch_inputs


def _observation(asset: str, version: str, path: Path | None) -> dg.AssetObservation:
    metadata: dict[str, dg.MetadataValue] = {}
    if path is not None:
        metadata["path"] = dg.MetadataValue.path(str(path))
        metadata["bytes"] = dg.MetadataValue.int(path.stat().st_size)
    return dg.AssetObservation(asset_key=asset, tags={DATA_VERSION: version}, metadata=metadata)


def _stamp(path: Path | None) -> str | None:
    if path is None:
        return "none"
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _end_dead_runs() -> dg.SensorDefinition:
    @dg.sensor(
        name="end_dead_runs",
        minimum_interval_seconds=60,
        default_status=_running(True),
        description="Closes the records of runs whose process was killed, and frees their slots.",
    )
    def end_dead(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        ended = end_dead_runs(context.instance)
        return dg.SkipReason(f"ended {', '.join(ended)}" if ended else "no run was killed")

    return end_dead


def _running(wanted: bool) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if wanted else dg.DefaultSensorStatus.STOPPED
