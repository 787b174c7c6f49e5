"""Schedules of the daemon: a refresh every night, and once a week one with trainings."""

import dagster as dg

from beauty_rec.orchestration.daemon.jobs import nightly_reindex, retrain
from beauty_rec.settings import ScheduleSettings

DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def schedules(settings: ScheduleSettings) -> list[dg.ScheduleDefinition]:
    """Return both schedules; on the night of the weekly one the other rests."""
    weekly = DAYS.index(settings.retrain_day)
    nights = ",".join(str(day) for day in range(7) if day != weekly)
    status = (
        dg.DefaultScheduleStatus.RUNNING if settings.enabled else dg.DefaultScheduleStatus.STOPPED
    )
    return [
        dg.ScheduleDefinition(
            name="nightly",
            job=nightly_reindex,
            cron_schedule=f"0 {settings.hour} * * {nights}",
            execution_timezone=settings.time_zone,
            default_status=status,
            description="Re-index with what came in during the day; models stay.",
        ),
        dg.ScheduleDefinition(
            name="weekly_retrain",
            job=retrain,
            cron_schedule=f"0 {settings.hour} * * {weekly}",
            execution_timezone=settings.time_zone,
            default_status=status,
            # A model whose data did not change needs no training; by hand it gets one.
            run_config={"ops": {"refresh_assets": {"config": {"train": "stale"}}}},
            description="As the nightly re-index, and models whose data changed are trained anew.",
        ),
    ]
