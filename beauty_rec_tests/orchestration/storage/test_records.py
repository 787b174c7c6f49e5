"""What records of earlier runs say."""

from pathlib import Path

import dagster as dg

from beauty_rec.orchestration.stage.partitions import encode_parts
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import measured_before


def test_a_split_that_moved_on_was_measured_before(tmp_path: Path) -> None:
    had = {"train": "a", "valid": "b", "test": "c"}

    def record(instance: dg.DagsterInstance, asset: str, split: str | None, tag: str) -> None:
        tags = {f"dagster/{tag}": encode_parts(had)}
        instance.report_runless_asset_event(
            dg.AssetMaterialization(asset, partition=split, tags=tags)
        )

    with open_instance(tmp_path) as instance:
        assert list(measured_before(instance)) == []
        record(instance, "split_reviews", None, "data_version")
        for split in ("train", "valid"):
            record(instance, "ranking_metrics", split, "input_data_version/split_reviews")
        assert list(measured_before(instance)) == []
        had["valid"] = had["test"] = "x"
        record(instance, "split_reviews", None, "data_version")
        assert [split for split, _ in measured_before(instance)] == ["valid"]
        record(instance, "ranking_metrics", "valid", "input_data_version/split_reviews")
        assert list(measured_before(instance)) == []
