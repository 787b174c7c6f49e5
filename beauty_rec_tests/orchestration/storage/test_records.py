"""What records of earlier runs say."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from beauty_rec.orchestration.stage.partitions import encode_parts
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import ASKED, days_asked, measured_before


def test_a_split_that_moved_on_was_measured_before(tmp_path: Path) -> None:
    had = {"train": "a", "valid": "b", "test": "c"}
    used = "input_data_version/split_reviews"

    def record(instance: dg.DagsterInstance, asset: str, split: str | None, tag: str) -> None:
        tags = {f"dagster/{tag}": encode_parts(had)}
        instance.report_runless_asset_event(
            dg.AssetMaterialization(asset, partition=split, tags=tags)
        )

    with open_instance(tmp_path) as instance:
        assert list(measured_before(instance)) == []
        record(instance, "split_reviews", None, "data_version")
        for split in ("train", "valid"):
            for asked in ASKED:
                record(instance, asked, split, used)
        assert list(measured_before(instance)) == []
        had["valid"] = had["test"] = "x"
        record(instance, "split_reviews", None, "data_version")
        ((split, first),) = measured_before(instance)
        assert split == "valid"
        # Metrics of the same answers ask nobody anew.
        record(instance, "ranking_metrics", "valid", used)
        assert list(measured_before(instance)) == [(split, first)]
        # Of what is still of other events, the older.
        record(instance, ASKED[0], "valid", used)
        ((split, second),) = measured_before(instance)
        assert (split, second >= first) == ("valid", True)
        record(instance, ASKED[1], "valid", used)
        assert list(measured_before(instance)) == []


def test_the_day_is_that_of_what_was_asked_first(tmp_path: Path) -> None:
    with open_instance(tmp_path) as instance:
        assert days_asked(instance) == {}
        first = datetime.now(UTC).date().isoformat()
        for asked in ASKED:
            instance.report_runless_asset_event(dg.AssetMaterialization(asked, partition="test"))
        assert list(days_asked(instance)) == ["test"]
        assert first <= days_asked(instance)["test"] <= datetime.now(UTC).date().isoformat()
