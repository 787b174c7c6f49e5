"""The sensor that says each fault once, and once that it has gone.

What stood at the last look, and what no receiver has taken yet, is the sensor's cursor: a receiver
that is away gets everything when it is back. A message may come twice where the daemon is killed
between the sending and its record; none is lost.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any

import dagster as dg
from pydantic import BaseModel

from beauty_rec.orchestration.alerts.delivery import LINES, PartlyRefused, send
from beauty_rec.orchestration.alerts.faults import (
    Faults,
    dropped,
    failed_checks,
    failed_runs,
    figures_of,
    read_json,
    stale_set,
)
from beauty_rec.orchestration.storage.records import report_file
from beauty_rec.settings import AlertSettings, Settings, redacted

LOG = logging.getLogger("beauty_rec.alerts")


class State(BaseModel):
    """The cursor.

    Attributes:
        looked: seconds, of the last look.
        faults: those that stand, by kind.
        metrics: of the set that the next one is held against; below its interval, it stays.
        waiting: way → lines that no receiver has taken yet, oldest first.
    """

    looked: float | None = None
    faults: dict[str, Faults] = {}
    metrics: dict[str, list[float]] = {}
    waiting: dict[str, list[str]] = {}


def alert_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor; it runs by itself where a way is set."""
    alerts = settings.alerts
    status = dg.DefaultSensorStatus.RUNNING if alerts.ways else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=alerts.every_seconds,
        default_status=status,
        description="Says by webhook or mail, once each: a run or a check failed, what is served "
        "is stale, its metrics dropped; and once when that is over.",
    )
    def alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not alerts.ways:
            return dg.SkipReason("neither alerts.webhook_url nor alerts.smtp_host is set")
        state = State.model_validate_json(context.cursor) if context.cursor else State()
        graph = context.repository_def.asset_graph if context.repository_def else None
        checks = graph.asset_check_keys if graph else ()
        lines = _look(state, context.instance, checks, settings)
        for way in alerts.ways:
            state.waiting.setdefault(way, []).extend(lines)
        said = _deliver(state, alerts)
        context.update_cursor(state.model_dump_json())
        return dg.SkipReason("; ".join(said) or "nothing new")

    return alert


def _look(
    state: State,
    instance: dg.DagsterInstance,
    checks: Iterable[dg.AssetCheckKey],
    settings: Settings,
) -> list[str]:
    """Bring the state up to date; return what is new of it, in lines for people."""
    now, wanted = time.time(), settings.alerts.on
    found: dict[str, Faults] = {}
    if "run" in wanted:
        found["run"] = failed_runs(instance, state.faults.get("run", {}), state.looked, now)
    if "check" in wanted:
        found["check"] = failed_checks(instance, checks)
    if "stale" in wanted:
        hours = settings.checks.served_fail_hours
        stood = state.faults.get("stale", {})
        found["stale"] = stale_set(settings.data_dir / "serving", hours, stood, now)
    if "metrics" in wanted:
        report = _report(settings)
        figures = {} if report is None else figures_of(report)
        stood = state.faults.get("metrics", {})  # until figures say that it is over
        found["metrics"] = dropped(state.metrics, figures) if figures else dict(stood)
        if figures and not found["metrics"]:
            state.metrics = figures
    # Of what is looked at now: a fault that is not looked for any more is not over.
    known = [state.faults.get(kind, {}) for kind in found]
    before = {key: fault.line for kind in known for key, fault in kind.items()}
    after = {key: fault.line for kind in found.values() for key, fault in kind.items()}
    state.looked, state.faults = now, found
    new = [f"🔴 {line}" for key, line in after.items() if key not in before]
    gone = [f"🟢 resolved: {line}" for key, line in before.items() if key not in after]
    return [*new, *gone]


def _report(settings: Settings) -> dict[str, Any] | None:
    """Return the last run's report; None where there is none, or none that can be read now."""
    try:
        return read_json(report_file(settings))
    except Exception as error:  # whatever a store raises that is away
        LOG.warning(redacted(f"the report cannot be fetched: {type(error).__name__}: {error}"))
        return None


def _deliver(state: State, alerts: AlertSettings) -> list[str]:
    """Send what waits; return what happened, in words that hold no secret."""
    said = []
    for way in alerts.ways:
        waiting = state.waiting.get(way, [])
        while waiting:
            part = waiting[:LINES]
            try:
                send(way, part, alerts)
            except PartlyRefused as error:
                said.append(f"{way}: {error}")
            except ConnectionError as error:
                said.append(f"{way}: {len(waiting)} lines wait for the next look: {error}")
                break
            else:
                said.append(f"{way}: {len(part)} lines sent")
            del waiting[: len(part)]
    return said
