"""The command line and the job of Dagster on a folder, and the file's faults."""

import json
import random
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from typer.testing import CliRunner

from beauty_rec.cli import app
from beauty_rec.orchestration.daemon.promotion import promote
from beauty_rec.recommender.online.experiments.explore import Explorer
from beauty_rec.recommender.online.experiments.file import ExperimentError, parse_experiment
from beauty_rec.serving.published.release import served
from beauty_rec_tests.serving.experiment.two_sets import TwoSets, experiment

VARIANTS = "[variants.a]\nshare = 0.5\n[variants.b]\nshare = 0.5\n"


def run(sets: TwoSets, *words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, [*words, "--data-dir", str(sets.settings.data_dir)])
    return found.exit_code, found.output + (str(found.exception) if found.exception else "")


def test_an_experiment_from_the_shell(sets: TwoSets, tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    file.write_text(experiment(sets, "shell"))
    assert run(sets, "experiment", "start", str(file)) == (
        0,
        "experiment shell begins: old 50%, new 50%\n",
    )
    code, said = run(sets, "experiment", "status", "--json")
    state = json.loads(said)
    assert (code, state["state"], state["better"]) == (0, "running", None)
    assert {each["name"]: each["set"] for each in state["variants"]} == {
        "old": sets.old,
        "new": sets.new,
    }
    assert [each["set"] for each in state["sets"]] == [sets.new, sets.old]
    code, said = run(sets, "experiment", "status")
    assert code == 0
    assert f"set {sets.old}" in said
    code, said = run(sets, "experiment", "promote")
    assert code != 0
    assert "name a variant to promote it all the same" in said
    code, said = run(sets, "experiment", "promote", "odl")
    assert "the nearest known: old" in said
    assert run(sets, "experiment", "promote", "old")[0] == 0
    assert served(sets.root).manifest.set == sets.old
    code, said = run(sets, "experiment", "stop")
    assert "no experiment runs" in said
    assert run(sets, "rollback")[0] == 0
    assert served(sets.root).manifest.set == sets.new
    file.write_text('name = "bold"\n' + VARIANTS + "diversity = 0.4\n")
    assert run(sets, "experiment", "start", str(file))[0] == 0
    assert run(sets, "experiment", "promote", "b")[0] == 0
    assert served(sets.root).settings.diversity == 0.4
    assert run(sets, "rollback", "latest")[0] == 0
    assert served(sets.root).settings.diversity is None


def test_the_job_promotes_what_is_named_and_nothing_unfound(sets: TwoSets, tmp_path: Path) -> None:
    def job(variant: str | None = None, *, is_right: bool = True) -> str:
        config = {"ops": {"promote_variant_op": {"config": {"variant": variant}}}}
        done = promote.execute_in_process(
            config if variant else None, resources={"settings": sets.settings}, raise_on_error=False
        )
        assert done.success == is_right
        return done.output_for_node("promote_variant_op")["promoted"] if is_right else ""

    assert job() == "none"
    file = tmp_path / "one.toml"
    file.write_text(experiment(sets, "job"))
    assert run(sets, "experiment", "start", str(file))[0] == 0
    assert job() == "none"
    job("odl", is_right=False)
    assert job("old") == "old"
    assert served(sets.root).manifest.set == sets.old
    run(sets, "rollback", "latest")
    assert isinstance(promote, dg.JobDefinition)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "name: Field required"),
        ('name = "a"\n', "variants: Field required"),
        ('name = "a b"\n' + VARIANTS, "name: String should match pattern"),
        ('name = "a"\nmetrik = "ctr"\n' + VARIANTS, "metrik: no such field; the nearest known: me"),
        ('name = "a"\n' + VARIANTS.replace("0.5", "0.4"), "sum to 0.8, not to 1"),
        ('name = "a"\n' + VARIANTS + 'order = "gbtd"', "'gbtd'; the nearest known: gbdt"),
        ('name = "a"\n' + VARIANTS + 'order = {txt = "fused"}', "'txt'; the nearest known: text"),
        ('name = "a"\n' + VARIANTS + "diversity = 2", "diversity: Input should be less than"),
        ('name = "a"\ncontrol = "bb"\n' + VARIANTS, "no variant 'bb'; the nearest known: b"),
        ('name = "a"\n[variants.default]\nshare = 1', "'default' means outside"),
        ('name = "a"\n' + VARIANTS + '[shadow]\nname = "a"', "the name of a variant"),
        ('name = "a"\n' + VARIANTS + "[variants.b]\n", "not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(ExperimentError, match=r"^file\.toml: ") as refused:
        parse_experiment(text, "file.toml")
    assert said in str(refused.value)


def test_shares_are_kept_to() -> None:
    shares = {"a": 0.1, "b": 0.2, "c": 0.7}
    parts = "".join(f"[variants.{name}]\nshare = {share}\n" for name, share in shares.items())
    found = parse_experiment(f'name = "x"\n{parts}', "file.toml")
    drawn = [found.variant_of(f"user {number}") for number in range(20_000)]
    for name, share in shares.items():
        assert drawn.count(name) / len(drawn) == pytest.approx(share, abs=0.01)


def test_propensities_are_how_often_things_happen() -> None:
    """Estimates by inverse propensity of the answers without chance come out right."""
    explorer = Explorer(0.4, random.Random(1))
    order, seen, estimates = np.arange(6), 0, []
    for _ in range(20_000):
        shown, chosen = explorer.of(order, 26, fixed={0})
        assert (shown[0], chosen[0]) == (0, 1)  # what a rule has put there stays
        moved = shown != order
        seen += moved.any()
        assert moved.sum() <= 1
        assert np.all(shown[moved] >= 6)
        assert chosen[moved] == pytest.approx(np.full(moved.sum(), 0.4 / (5 * 20)))
        estimates.append(np.where(moved, 0, 1 / chosen))
    assert seen / 20_000 == pytest.approx(0.4, abs=0.01)
    assert np.mean(estimates, axis=0) == pytest.approx(np.ones(6), abs=0.01)
