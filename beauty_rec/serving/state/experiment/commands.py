"""How an experiment begins and ends: files in the data folder, which a running server looks at."""

from pathlib import Path
from typing import Any

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.recommender.online.experiments.file import (
    AnswerSettings,
    Experiment,
    ExperimentError,
    parse_experiment,
    remedy,
)
from beauty_rec.serving.published.kept import EXPERIMENT
from beauty_rec.serving.published.release import Release, promote, served
from beauty_rec.serving.state.experiment.running import check_sets, read_experiment
from beauty_rec.serving.state.experiment.status import folder_report
from beauty_rec.serving.state.taking import open_store
from beauty_rec.settings import Settings

ENDED = "experiments"
"""Folder with the files of all experiments that began, by their names."""


class NothingFound(ExperimentError):
    """No variant is named, and the test has found none better."""


def start(settings: Settings, file: Path) -> Experiment:
    """Begin the experiment that a file describes.

    Raises:
        ExperimentError: it is not valid, its name was used before, or another one runs.
        FileNotFoundError: nothing was published yet.
    """
    root = settings.data_dir / "serving"
    if file.exists() and not file.is_file():
        raise ExperimentError(f"{file} is no file; name the TOML file of the experiment")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{file} cannot be read: {error}") from None
    if (root / EXPERIMENT).exists():
        raise ExperimentError(
            f"{root / EXPERIMENT}: an experiment runs; promote or stop it first: "
            "beauty-rec experiment stop"
        )
    experiment = parse_experiment(text, str(file))
    check_sets(root, experiment, str(file))
    if _kept(root, experiment.name).exists():
        raise ExperimentError(
            f"{file}: name: {experiment.name!r} was used before: its figures would be mixed, and "
            "its users split as then; choose another one"
        )
    write_text_atomic(root / EXPERIMENT, text)
    try:  # last: the name is used from here on
        write_text_atomic(_kept(root, experiment.name), text)
    except OSError:
        (root / EXPERIMENT).unlink()
        raise
    return experiment


def stop(settings: Settings) -> str:
    """End the experiment; return its name, or that of its file where it is not valid.

    Raises:
        ExperimentError: none runs.
    """
    path = settings.data_dir / "serving" / EXPERIMENT
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        path.unlink()
    except FileNotFoundError:
        raise ExperimentError("no experiment runs") from None
    try:
        name = parse_experiment(text, str(path)).name
    except ExperimentError:
        return path.name
    write_text_atomic(_kept(path.parent, name), text)  # as it was edited since
    return name


def promote_variant(settings: Settings, variant: str | None) -> tuple[str, Release]:
    """Serve a variant to everybody and end the experiment; return its name, and what is served.

    Args:
        settings: of the data folder.
        variant: None: the one that the test has found better.

    Raises:
        NothingFound: none is named, and none was found.
        ExperimentError: there is no such variant, or no experiment.
    """
    root = settings.data_dir / "serving"
    found = read_experiment(root)
    if found is None:
        raise ExperimentError("no experiment runs: nothing can be promoted")
    experiment = found[0]
    known = dict(experiment.parts)
    if variant is None:
        said = status(settings)
        if said["better"] is None:
            raise NothingFound(f"{said['verdict']}; name a variant to promote it all the same")
        variant = str(said["better"])
    if variant not in known:
        raise ExperimentError(f"no variant {variant!r}{remedy(variant, known)}")
    chosen = known[variant]
    why = f"promoted {variant} of {experiment.name}"
    release = promote(root, chosen.set, _over(settings, chosen.alone), why)
    stop(settings)
    return variant, release


def status(settings: Settings) -> dict[str, Any]:
    """Return the state of the experiment, as :func:`.status.folder_report` does."""
    with open_store(settings) as store:
        read = None if store is None else store.read
        return folder_report(settings.data_dir / "serving", read)


def began(root: Path) -> dict[str, Experiment]:
    """Return all experiments that ever began and whose files can be read, by name."""
    found = {}
    for path in [*sorted((root / ENDED).glob("*.toml")), root / EXPERIMENT]:
        try:
            experiment = parse_experiment(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError, ExperimentError):
            continue
        found[experiment.name] = experiment
    return found


def _over(settings: Settings, chosen: AnswerSettings) -> AnswerSettings:
    """Return the settings of a variant over those that were promoted before."""
    before = served(settings.data_dir / "serving").settings
    named = {name: getattr(chosen, name) for name in chosen.model_fields_set}
    return before.model_copy(update={n: v for n, v in named.items() if v is not None})


def _kept(root: Path, name: str) -> Path:
    return root / ENDED / f"{name}.toml"
