"""Stale-only refresh on a small graph of its own, with a real Dagster instance."""

from pathlib import Path
from typing import Any

import pytest

from beauty_rec.orchestration.refresh.refresh import (
    SelectionError,
    observe_sources,
    plan,
    preview,
    refresh,
)
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec_tests.orchestration.world import World, definitions_of


def build(world: World, folder: Path, select: str | None = None, **options: Any) -> dict:
    """Refresh and return the status of each step by name."""
    world.built.clear()
    definitions = definitions_of(world)
    with open_instance(folder) as instance:
        observe_sources(definitions, instance)
        results = list(refresh(definitions, instance, plan(definitions, select), **options))
    assert world.built == [str(r.step) for r in results if r.status == "built"]
    return {str(result.step): result.status for result in results}


def foretell(world: World, folder: Path, **options: Any) -> dict[str, str]:
    """Return what a refresh would do, by step."""
    definitions = definitions_of(world)
    with open_instance(folder) as instance:
        observe_sources(definitions, instance)
        found = preview(definitions, instance, plan(definitions), **options)
        return {str(step): verdict for step, verdict, _ in found}


@pytest.fixture
def world() -> World:
    return World()


def test_first_run_builds_everything_and_second_nothing(world: World, tmp_path: Path) -> None:
    first = build(world, tmp_path)
    assert set(first.values()) == {"built"}
    assert next(iter(first)) == "split_rows"
    assert list(first)[-1] == "summary"
    assert set(build(world, tmp_path).values()) == {"fresh"}


def test_an_edit_of_test_rows_leaves_train_alone(world: World, tmp_path: Path) -> None:
    build(world, tmp_path)
    world.rows["test"] = "x"
    build(world, tmp_path)
    assert world.built == ["split_rows", "words[test]", "summary"]


def test_an_edit_of_train_rows_reaches_the_model(world: World, tmp_path: Path) -> None:
    build(world, tmp_path)
    world.rows["train"] = "y"
    build(world, tmp_path)
    assert world.built == ["split_rows", "words[train]", "model", "summary"]


def test_an_unchanged_result_stops_the_cascade(world: World, tmp_path: Path) -> None:
    build(world, tmp_path, select="split_rows,words")
    world.rows["valid"] = "B"  # the words of valid are the same in lower case
    build(world, tmp_path, select="split_rows,words")
    assert world.built == ["split_rows", "words[valid]"]
    build(world, tmp_path)
    world.rows["valid"] = "b"
    build(world, tmp_path)
    assert world.built == ["split_rows", "words[valid]"]


def test_a_new_code_version_rebuilds_from_there_down(world: World, tmp_path: Path) -> None:
    build(world, tmp_path)
    world.code_version = "2"
    build(world, tmp_path)
    assert world.built == ["model"]  # the same model again: nothing below changes


def test_force_rebuilds_only_the_selection(world: World, tmp_path: Path) -> None:
    build(world, tmp_path)
    statuses = build(world, tmp_path, select="model", force=True)
    assert statuses == {"model": "built"}


def test_models_stay_between_trainings_and_what_follows_goes_on(
    world: World, tmp_path: Path
) -> None:
    build(world, tmp_path)
    world.rows["train"] = "x"
    kept: dict = {"train": "never", "trainings": frozenset({"model"})}
    statuses = build(world, tmp_path, **kept)
    assert statuses["words[train]"] == statuses["summary"] == "built"
    assert statuses["model"] == "fresh"
    assert set(build(world, tmp_path, **kept).values()) == {"fresh"}
    assert build(world, tmp_path)["model"] == "built"
    world.code_version = "2"  # a model of other code cannot stay
    assert build(world, tmp_path, **kept)["model"] == "built"


@pytest.mark.slow
def test_measures_stay_while_what_is_measured_does(world: World, tmp_path: Path) -> None:
    def night(**options: Any) -> str:
        return build(world, tmp_path, measure="never", trainings=models, **options)["summary"]

    models = frozenset({"model"})
    measures: dict[str, Any] = {"measures": frozenset({"summary"})}
    build(world, tmp_path)
    world.rows["test"] = "x"
    assert night(**measures) == "fresh"
    assert build(world, tmp_path)["summary"] == "built"
    world.rows["train"] = "y"
    assert night(**measures, train="never") == "fresh"  # the model stays
    assert night(**measures) == "built"
    world.rows["test"] = "z"
    measures = {"measures": frozenset({"summary", "words"})}
    assert night(**measures) == "fresh"


def test_a_dry_run_says_what_measures_stay(world: World, tmp_path: Path) -> None:
    kept: dict[str, Any] = {"trainings": frozenset({"model"}), "measure": "never"}
    kept["measures"] = frozenset({"summary"})
    build(world, tmp_path)
    world.rows["train"] = "x"
    assert foretell(world, tmp_path, **kept, train="never")["summary"] == "fresh"
    # The model is trained, and what it says measured.
    assert foretell(world, tmp_path, **kept)["summary"] == "maybe"


@pytest.mark.slow
def test_no_model_stays_beside_a_newer_one_that_it_goes_on_from(
    world: World, tmp_path: Path
) -> None:
    kept: dict = {"train": "never", "trainings": frozenset({"words", "model"})}
    build(world, tmp_path)
    world.rows["train"] = "x"
    build(world, tmp_path, select="split_rows,words")  # then it was killed
    assert foretell(world, tmp_path, **kept)["model"] == "build"
    assert build(world, tmp_path, **kept)["model"] == "built"
    world.rows["train"] = "y"
    assert build(world, tmp_path, **kept)["model"] == "fresh"


@pytest.mark.slow
def test_what_was_measured_stays_only_with_all_that_is_made_of_it(
    world: World, tmp_path: Path
) -> None:
    measures = frozenset({"words", "summary"})
    kept: dict = {"measure": "never", "measures": measures, "trainings": frozenset({"model"})}
    kept["train"] = "never"
    build(world, tmp_path)
    world.rows["valid"] = "x"
    build(world, tmp_path, select="split_rows,words")  # then it was killed
    world.rows |= {"train": "y", "valid": "z"}
    told = foretell(world, tmp_path, **kept)
    assert told["words[valid]"] == told["words[train]"] == "maybe"
    assert told["model"] == "fresh"
    statuses = build(world, tmp_path, **kept)
    assert world.built == ["split_rows", "words[train]", "words[valid]", "summary"]
    assert statuses["model"] == statuses["words[test]"] == "fresh"
    world.rows |= {"train": "a", "valid": "b", "test": "c"}
    build(world, tmp_path, **kept)
    assert world.built == ["split_rows"]


@pytest.mark.slow
def test_force_leaves_what_is_never_to_be_made_anew(world: World, tmp_path: Path) -> None:
    build(world, tmp_path)
    kept: dict = {"trainings": frozenset({"model"}), "measures": frozenset({"summary"})}
    never: dict = {"force": True, "train": "never", "measure": "never", **kept}
    told = foretell(world, tmp_path, **never)
    statuses = build(world, tmp_path, **never)
    assert statuses["model"] == statuses["summary"] == told["model"] == told["summary"] == "fresh"
    assert world.built == ["split_rows", "words[train]", "words[valid]", "words[test]"]
    build(world, tmp_path, force=True, train="never", **kept)
    assert world.built[-1] == "summary"
    assert "model" not in world.built
    build(world, tmp_path, force=True, train="always", measure="never", **kept)
    assert world.built[-1] == "model"  # the same model again: what is told of it stays


def test_a_model_is_trained_anew_when_asked_for(world: World, tmp_path: Path) -> None:
    build(world, tmp_path)
    statuses = build(world, tmp_path, train="always", trainings=frozenset({"model"}))
    assert [name for name, status in statuses.items() if status == "built"] == ["model"]


def test_what_follows_a_failure_is_not_tried(world: World, tmp_path: Path) -> None:
    world.broken = {"model"}
    statuses = build(world, tmp_path)
    assert statuses["model"] == statuses["summary"] == "failed"
    assert statuses["words[test]"] == "built"
    world.broken = set()
    build(world, tmp_path)
    assert world.built == ["model", "summary"]


def test_a_failed_split_stops_only_what_reads_it(world: World, tmp_path: Path) -> None:
    world.broken = {"words[test]"}
    assert build(world, tmp_path) == {
        "split_rows": "built",
        "words[train]": "built",
        "words[valid]": "built",
        "words[test]": "failed",
        "model": "built",  # of the words of train
        "summary": "failed",
    }
    definitions = definitions_of(world)
    with open_instance(tmp_path) as instance:
        (*_, summary) = refresh(definitions, instance, plan(definitions))
        seen = {
            str(step): verdict
            for step, verdict, _ in preview(definitions, instance, plan(definitions))
        }
    assert summary.reason == "not tried, since words[test] failed"
    assert seen["words[test]"] == "build"
    assert seen["model"] == "fresh"


def test_a_failed_blocking_check_blocks_until_it_passes(world: World, tmp_path: Path) -> None:
    world.check_passes = False
    world.built.clear()
    definitions = definitions_of(world)
    for _ in range(2):  # the second run must not take the refused rows for good ones
        with open_instance(tmp_path) as instance:
            observe_sources(definitions, instance)
            results = list(refresh(definitions, instance, plan(definitions)))
        assert {r.status for r in results} == {"failed"}
    world.check_passes = True
    assert set(build(world, tmp_path).values()) == {"built"}


def test_preview_builds_nothing_and_names_the_cause(world: World, tmp_path: Path) -> None:
    build(world, tmp_path)
    world.rows["test"] = "x"
    world.built.clear()
    definitions = definitions_of(world)
    with open_instance(tmp_path) as instance:
        observe_sources(definitions, instance)
        seen = {
            str(step): (verdict, reason)
            for step, verdict, reason in preview(definitions, instance, plan(definitions))
        }
    assert world.built == []
    assert seen["split_rows"] == ("build", "rows_file changed")
    assert seen["summary"][0] == "maybe"


@pytest.mark.parametrize("select", ["nonsense", "model,nonsense", "++"])
def test_a_wrong_selection_lists_what_there_is(world: World, select: str) -> None:
    with pytest.raises(SelectionError, match="summary"):
        plan(definitions_of(world), select)


@pytest.mark.parametrize(
    ("select", "wanted"),
    [
        ('key:"words" or key:"model"', {"words", "model"}),
        ('key:"words"+ and not key:"summary", split_rows', {"words", "model", "split_rows"}),
        ("words model,split_rows", {"words", "model", "split_rows"}),
        (" words+ ", {"words", "model", "summary"}),
    ],
)
def test_a_selection_is_in_the_syntax_of_dagster(
    world: World, select: str, wanted: set[str]
) -> None:
    steps = plan(definitions_of(world), select)
    assert {step.key.to_user_string() for step in steps} == wanted


def test_a_selection_that_is_wrong_is_named_whole(world: World) -> None:
    with pytest.raises(SelectionError, match="'key:\"words\" and not' names no asset"):
        plan(definitions_of(world), 'split_rows,key:"words" and not')


@pytest.mark.parametrize(
    ("select", "why"), [(" , ", "names no asset"), ("rows_file", "names inputs alone")]
)
def test_a_selection_of_nothing_says_why(world: World, select: str, why: str) -> None:
    with pytest.raises(SelectionError, match=why):
        plan(definitions_of(world), select)


def test_one_split_only(world: World) -> None:
    steps = plan(definitions_of(world), "words+", "valid")
    assert [str(step) for step in steps] == ["words[valid]"]
    with pytest.raises(SelectionError, match="without splits"):
        plan(definitions_of(world), "model", "valid")
