"""The job of the night on a shop that was built: what it leaves, and what makes good for it."""

import json
from pathlib import Path

import dagster as dg
import pytest

from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.refresh.kept import MEASURES, TRAININGS
from beauty_rec.orchestration.refresh.lock import PARENT_TAG
from beauty_rec.orchestration.refresh.refresh import QUIET
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.settings import Settings
from beauty_rec_tests.command_line_shop import Shop


@pytest.mark.live
def test_the_job_of_the_night_leaves_models_and_metrics(tmp_path: Path, tiny_model: Path) -> None:
    shop = Shop(tmp_path, tiny_model)
    shop.run()
    shop.edit_text(shop.split_of("train").row(-2, named=True), "Works for my teenage son at noon.")
    definitions = build_definitions(Settings(data_dir=shop.data))
    with open_instance(shop.data) as instance:
        job = definitions.resolve_job_def("nightly_reindex")
        done = job.execute_in_process(
            instance=instance, run_config={**QUIET, **(job.run_config or {})}
        )
        counts = done.output_for_node("refresh_assets")
        assert counts["failed"] == 0
        tagged = instance.get_runs(dg.RunsFilter(tags={PARENT_TAG: done.run_id}))
        assert len(tagged) == counts["built"] + 1 > 1  # and the look at the sources
        assert not any(run.status == dg.DagsterRunStatus.STARTED for run in instance.get_runs())
        selected = {key.to_user_string() for run in tagged for key in run.asset_selection or ()}
    assert {"raw_reviews", "split_reviews", "keywords"} <= selected
    assert not (TRAININGS | MEASURES) & selected
    assert "train: its events have changed" in report_notes(shop)
    # The next full run trains and measures what the night left.
    told = shop.call("run", "--dry-run").stdout
    due = {line.split()[1] for line in told.splitlines() if not line.startswith("fresh")}
    assert due >= TRAININGS | {"retrieval_candidates[train]"}, told
    measured = shop.run("--train", "never")
    assert measured["retrieval_candidates[train]"] == measured["evaluation_report"] == "built"
    assert "have changed" not in report_notes(shop)


def report_notes(shop: Shop) -> str:
    report = json.loads((shop.data / "evaluation" / "report.json").read_text())
    return " ".join(report["dataset"]["notes"])
