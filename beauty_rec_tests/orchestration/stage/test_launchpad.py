"""Hyper-parameters of the launchpad come from the settings, and an override is shown honestly."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from beauty_rec.orchestration.refresh.refresh import Step, plan, refresh
from beauty_rec.orchestration.refresh.staleness import Look
from beauty_rec.orchestration.stage.launchpad import config_schema, differences, overridden
from beauty_rec.orchestration.stage.partitions import splits
from beauty_rec.orchestration.stage.stage import for_settings, stage, used_code_version
from beauty_rec.orchestration.storage.io_managers import io_managers
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Group, Settings


@stage(group="raw", io="documents", settings=("fine_tune", "evaluation.seed"))
def learned(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> dict:
    """An asset that learns nothing."""
    return {"epochs": settings.fine_tune.epochs, "seed": settings.evaluation.seed}


@stage(group="raw", io="documents", settings=("evaluation.seed",), partitions_def=splits)
def measured(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], learned: dict
) -> dict:
    """An asset with splits."""
    return {**learned, "seed": settings.evaluation.seed}


def location(settings: Settings) -> dg.Definitions:
    store = ArtifactStore(url=str(settings.data_dir), scratch=str(settings.data_dir))
    return dg.Definitions(
        assets=for_settings([learned, measured], settings),
        resources={"settings": settings, "store": store, **io_managers(store)},
    )


def stale_reason(definitions: dg.Definitions, instance: dg.DagsterInstance, step: Step) -> str:
    found = Look(instance, definitions.resolve_asset_graph()).stale(step.key, step.partition)
    return found.reason if found else ""


def test_bounds_descriptions_and_present_values_are_offered(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, fine_tune={"epochs": 4})
    schema: Any = config_schema(("fine_tune", "evaluation.seed"), settings)
    assert schema is not None
    groups = {name: field.config_type.fields for name, field in schema.config_type.fields.items()}
    assert set(groups["evaluation"]) == {"seed"}
    assert groups["fine_tune"]["epochs"].default_value == 4
    assert groups["fine_tune"]["epochs"].description == (
        "passes over the pairs; 0: no training. ≥ 0, ≤ 100"
    )
    assert "gradient cache" in groups["fine_tune"]["chunk_tokens"].description
    assert groups["fine_tune"]["decay"].config_type.config_values == ["linear", "cosine"]


def test_every_setting_of_every_group_can_be_shown(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, item_index={"dsn": "postgresql://u:secret@h/d"})
    groups = [name for name, values in settings if isinstance(values, Group)]
    schema: Any = config_schema(groups, settings)
    assert schema is not None
    assert "dsn" not in schema.config_type.fields["item_index"].config_type.fields
    defaults = {
        group: {n: f.default_value for n, f in field.config_type.fields.items()}
        for group, field in schema.config_type.fields.items()
    }
    assert "secret" not in str(defaults)
    assert differences(settings, overridden(settings, defaults)) == {}


def test_an_override_does_not_count_as_fresh(tmp_path: Path) -> None:
    definitions = location(Settings(data_dir=tmp_path))
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.instance_for_test() as instance:
        steps = plan(definitions, "learned")
        typed = {"ops": {"learned": {"config": {"fine_tune": {"epochs": 7}}}}}
        run = job.execute_in_process(typed, instance, asset_selection=[steps[0].key])
        assert run.output_for_node("learned")["epochs"] == 7
        event = run.asset_materializations_for_node("learned")[0]
        assert event.metadata["overridden"].value == {"fine_tune.epochs": 7}
        assert stale_reason(definitions, instance, steps[0]) == "its code or settings changed"

        assert [r.status for r in refresh(definitions, instance, steps)] == ["built"]
        assert [r.status for r in refresh(definitions, instance, steps)] == ["fresh"]

        settings = Settings(data_dir=tmp_path, fine_tune={"epochs": 7})
        assert (
            stale_reason(location(settings), instance, steps[0]) == "its code or settings changed"
        )


def test_an_override_of_one_split_leaves_the_others_fresh(tmp_path: Path) -> None:
    definitions = location(Settings(data_dir=tmp_path))
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.instance_for_test() as instance:
        steps = plan(definitions)
        assert {r.status for r in refresh(definitions, instance, steps)} == {"built"}
        typed = {"ops": {"measured": {"config": {"evaluation": {"seed": 99}}}}}
        run = job.execute_in_process(
            typed, instance, asset_selection=[dg.AssetKey("measured")], partition_key="valid"
        )
        assert run.output_for_node("measured")["seed"] == 99
        stale = [str(step) for step in steps if stale_reason(definitions, instance, step)]
        assert stale == ["measured[valid]"]


def test_typing_the_present_value_overrides_nothing(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    definitions = location(settings)
    with dg.instance_for_test() as instance:
        typed = {
            "ops": {"learned": {"config": {"fine_tune": {"epochs": settings.fine_tune.epochs}}}}
        }
        run = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            typed, instance, asset_selection=[dg.AssetKey("learned")]
        )
        assert "overridden" not in run.asset_materializations_for_node("learned")[0].metadata
        steps = plan(definitions, "learned")
        assert [r.status for r in refresh(definitions, instance, steps)] == ["fresh"]


def test_a_value_out_of_bounds_stops_the_step_before_it_begins(tmp_path: Path) -> None:
    definitions = location(Settings(data_dir=tmp_path))
    with dg.instance_for_test() as instance:
        typed = {"ops": {"learned": {"config": {"fine_tune": {"epochs": -1}}}}}
        with pytest.raises(ValueError, match=r"fine_tune.epochs: .* greater than or equal to 0"):
            definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                typed, instance, asset_selection=[dg.AssetKey("learned")]
            )
        wrong = {"ops": {"learned": {"config": {"fine_tune": {"epoch": 1}}}}}
        with pytest.raises(dg.DagsterInvalidConfigError, match="epoch"):
            definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                wrong, instance, asset_selection=[dg.AssetKey("learned")]
            )


def test_rows_made_with_an_override_are_not_taken_over(tmp_path: Path) -> None:
    """What an asset keeps for its next run is kept under the version that made it."""
    versions = []

    @stage(group="raw", io="documents", settings=("fine_tune",))
    def keeps(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> dict:
        """Says under which version it keeps."""
        versions.append(used_code_version(context))
        return {}

    settings = Settings(data_dir=tmp_path)
    store = ArtifactStore(url=str(tmp_path), scratch=str(tmp_path))
    definitions = dg.Definitions(
        assets=for_settings([keeps], settings),
        resources={"settings": settings, "store": store, **io_managers(store)},
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.instance_for_test() as instance:
        for epochs in (settings.fine_tune.epochs, 7, 8):
            typed = {"ops": {"keeps": {"config": {"fine_tune": {"epochs": epochs}}}}}
            assert job.execute_in_process(typed, instance).success
    assert len(set(versions)) == 3
    assert versions[0] == definitions.resolve_asset_graph().get(dg.AssetKey("keeps")).code_version
