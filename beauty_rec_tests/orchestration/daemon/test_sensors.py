"""The watcher of the input files: content counts, not times."""

import json
import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from beauty_rec import verified
from beauty_rec.artifacts import content_hash
from beauty_rec.orchestration.daemon.sensors import sensors
from beauty_rec.settings import ScheduleSettings, Settings


class Watch:
    """The sensor, tick by tick, on files of its own; the profiles are not given."""

    def __init__(self, folder: Path) -> None:
        self.reviews, self.items = folder / "reviews.jsonl", folder / "items.jsonl"
        self.write(self.reviews, "one")
        self.write(self.items, "two")
        settings = Settings(data_dir=folder, reviews=self.reviews, items=self.items)
        self.sensor = next(s for s in sensors(settings) if s.name == "watch_inputs")
        self.cursor: str | None = None

    def write(self, path: Path, text: str, age: float = 60) -> None:
        path.write_text(text)
        os.utime(path, (time.time() - age, time.time() - age))

    def tick(self) -> dict[str, str]:
        """Return the observed versions by asset, or the reason of none under ``skipped``."""
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance, cursor=self.cursor)
            found = self.sensor.evaluate_tick(context)
        self.cursor = found.cursor
        observed: list[Any] = list(found.asset_events)
        events = {e.asset_key.to_user_string(): e.data_version for e in observed}
        return events or {"skipped": found.skip_message or ""}


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    watch = Watch(tmp_path)
    assert set(watch.tick()) == {
        "reviews_file",
        "metadata_file",
        "profiles_file",
        "hidden_items_file",
    }
    return watch


def test_an_edit_is_observed_once_with_the_hash_of_the_content(watch: Watch) -> None:
    assert watch.tick() == {"skipped": "no input file changed"}
    watch.write(watch.reviews, "three")
    assert watch.tick() == {"reviews_file": content_hash(watch.reviews)}
    assert "skipped" in watch.tick()


def test_a_touched_file_is_read_but_not_observed(watch: Watch) -> None:
    watch.reviews.touch()
    os.utime(watch.reviews, (time.time() - 30, time.time() - 30))
    assert watch.tick() == {"skipped": "no input file changed"}


def test_an_untouched_file_is_not_even_read(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "file_hashes", lambda path: pytest.fail("the file was read"))
    assert "skipped" in watch.tick()
    watch.cursor = None  # of a tick that was cut short: what it read it need not read again
    assert watch.tick()["reviews_file"] == content_hash(watch.reviews)


def test_inputs_of_other_settings_are_not_looked_at(watch: Watch, tmp_path: Path) -> None:
    watch.write(watch.reviews, "three")
    watch.write(tmp_path / "settings.json", json.dumps({"reviews": "others.jsonl"}))
    assert watch.tick() == {"skipped": "settings changed: reload the code location"}
    watch.write(tmp_path / "settings.json", "{}\n")  # as of a run that was given nothing
    assert set(watch.tick()) == {"reviews_file"}


def test_a_file_that_may_still_be_written_to_waits(watch: Watch) -> None:
    watch.write(watch.reviews, "half", age=0)
    assert "written just now" in watch.tick()["skipped"]
    watch.write(watch.reviews, "half and half")
    assert watch.tick() == {"reviews_file": content_hash(watch.reviews)}


def test_a_missing_file_is_named_and_comes_back(watch: Watch) -> None:
    watch.reviews.unlink()
    assert "reviews.jsonl is missing" in watch.tick()["skipped"]
    watch.write(watch.reviews, "one")
    assert watch.tick() == {"skipped": "no input file changed"}


def test_a_wrong_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="is no time zone"):
        ScheduleSettings(time_zone="Mars/Olympus")
