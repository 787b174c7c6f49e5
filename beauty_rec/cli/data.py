"""`beauty-rec data`: make, fetch and check input files."""

from pathlib import Path
from typing import Annotated

import typer

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.cli.inputs import load_settings
from beauty_rec.cli.options import DataDir, Set, data_app, folder_option
from beauty_rec.cli.terminal import say


@data_app.command()
def sample(
    folder: Annotated[
        Path | None, folder_option(help="where to write [default: raw/sample of the data folder]")
    ] = None,
    data_dir: DataDir = None,
    reviews: Annotated[int | None, typer.Option(min=100)] = None,
    items: Annotated[int | None, typer.Option(min=20)] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
) -> None:
    """Write a synthetic sample of any size, the same for the same seed.

    That of a data folder is what later runs there are built on, while no reviews are named.
    """
    from beauty_rec.orchestration.refresh.lock import refresh_turn
    from beauty_rec.sample import write_sample
    from beauty_rec.settings import SampleSettings

    sizes = {"reviews": reviews, "items": items, "seed": seed}
    given = {name: value for name, value in sizes.items() if value is not None}
    if folder is not None:
        files = write_sample(folder, SampleSettings(**given))
    else:
        chosen = load_settings(data_dir, sample=given)
        with refresh_turn(chosen.data_dir):  # which a run may be reading
            files = write_sample(chosen.sample_dir, chosen.sample)
            write_text_atomic(chosen.memory_path, chosen.remembered())
    say(f"reviews   {files.reviews}\nitems     {files.items}\nprofiles  {files.profiles}")


@data_app.command()
def download(
    category: Annotated[str, typer.Argument(help="as Amazon Reviews 2023 spells it")] = (
        "All_Beauty"
    ),
    folder: Annotated[Path, folder_option(help="where to write")] = Path("data/raw"),
) -> None:
    """Fetch the official Amazon Reviews 2023 files of a category; resumes where it stopped."""
    from beauty_rec.corpus.download import download_category

    for found in (d.path for d in download_category(category, folder).values()):
        say(str(found))


@data_app.command()
def check(
    reviews: Annotated[Path | None, typer.Option()] = None,
    items: Annotated[Path | None, typer.Option()] = None,
    profiles: Annotated[Path | None, typer.Option()] = None,
    settings: Set = None,
) -> None:
    """Validate files without building anything: rows, duplicates, and refusals by reason.

    Exit code 1 when so many rows of a file are refused that a run on it would stop.
    """
    from beauty_rec.corpus.intake.check import check_file, describe, too_many_refused

    rules = load_settings(None, settings).corpus
    named = {"reviews": reviews, "items": items, "profiles": profiles}
    given = {kind: path for kind, path in named.items() if path is not None}
    if not given:
        raise ValueError("name at least one of --reviews, --items, --profiles")
    refused = False
    for kind, path in given.items():
        intake = check_file(kind, path, rules)  # type: ignore[arg-type]
        refused = refused or too_many_refused(intake, rules)
        say(f"{path}\n{describe(intake)}")
    raise typer.Exit(1 if refused else 0)
