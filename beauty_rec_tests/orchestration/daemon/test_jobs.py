"""What operators find in the UI: jobs, schedules, sensors, and no warning on the way."""

import subprocess
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.settings import ScheduleSettings, Settings, child_environment

WEEK = [datetime(2026, 3, day, 3, tzinfo=ZoneInfo("Europe/Berlin")) for day in range(2, 9)]


def repository(**schedule: object) -> dg.RepositoryDefinition:
    settings = Settings(schedule=ScheduleSettings(**schedule))
    return build_definitions(settings).get_repository_def()


def test_the_jobs_are_there_and_say_what_they_do() -> None:
    names = {"full_refresh", "nightly_reindex", "retrain", "evaluate", "split_backfill", "promote"}
    jobs = {job.name: job for job in repository().get_all_jobs()}
    assert names <= set(jobs)
    for name in names:
        assert jobs[name].description
        assert jobs[name].tags["beauty_rec/job"] == name
    assert jobs["split_backfill"].partitions_def is not None


def test_a_night_neither_trains_nor_measures_and_evaluate_measures() -> None:
    def told(name: str) -> dict[str, str]:
        config = dict(repository().get_job(name).run_config or {})
        told: dict[str, str] = config["ops"]["refresh_assets"]["config"]
        return told

    assert told("nightly_reindex") == {"train": "never", "measure": "never"}
    assert told("evaluate")["train"] == "never"
    assert not {"measure"} & {*told("evaluate"), *told("retrain"), *told("full_refresh")}


def test_every_night_has_one_job_and_the_weekly_one_trains() -> None:
    found = repository(enabled=True, hour=3, time_zone="Europe/Berlin", retrain_day="wednesday")
    nights: dict[int, list[str]] = {}
    for schedule in found.schedule_defs:
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        assert schedule.execution_timezone == "Europe/Berlin"
        ticks = schedule_execution_time_iterator(
            WEEK[0].timestamp() - 1, str(schedule.cron_schedule), schedule.execution_timezone
        )
        for tick in ticks:
            if tick > WEEK[-1]:
                break
            nights.setdefault(tick.weekday(), []).append(schedule.job_name)
    assert nights == {day: ["nightly_reindex"] for day in range(7) if day != 2} | {2: ["retrain"]}


def test_nothing_starts_by_itself_unless_told() -> None:
    quiet = repository()
    assert {s.default_status.value for s in quiet.schedule_defs} == {"STOPPED"}
    assert {s.name: s.default_status.value for s in quiet.sensor_defs} == {
        "watch_inputs": "RUNNING",
        "end_dead_runs": "RUNNING",
        "rebuild_on_change": "STOPPED",
        "alerts": "STOPPED",
    }
    found = repository(on_change=True)
    assert found.get_sensor_def("rebuild_on_change").default_status.value == "RUNNING"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_loading_warns_of_nothing() -> None:
    loads = "import beauty_rec.definitions as d; d.defs.get_repository_def().load_all_definitions()"
    done = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-c", loads],
        env=child_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
