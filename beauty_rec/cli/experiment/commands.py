"""`beauty-rec experiment` and `rollback`: what is served, to whom, and how one goes back."""

import json
from pathlib import Path
from typing import Annotated

import typer

from beauty_rec.cli.experiment.view import served_line, status_lines
from beauty_rec.cli.inputs import load_settings, refuse_read_only
from beauty_rec.cli.options import AsJson, DataDir, Set, app
from beauty_rec.cli.terminal import say, show

experiment_app = typer.Typer(
    help="Split users between variants, compare them, and promote one.", no_args_is_help=True
)
app.add_typer(experiment_app, name="experiment")


@experiment_app.command("start")
def start_command(
    file: Annotated[Path, typer.Argument(help="TOML, as docs/experiments.md says")],
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Begin the experiment of a file; a running server has it within serve.poll_seconds."""
    from beauty_rec.serving.state.experiment.commands import start

    chosen = load_settings(data_dir, settings)
    refuse_read_only(chosen.data_dir)
    begun = start(chosen, file)
    shares = ", ".join(f"{name} {part.share:.0%}" for name, part in begun.variants.items())
    say(f"experiment {begun.name} begins: {shares}")


@experiment_app.command("status")
def status_command(data_dir: DataDir = None, as_json: AsJson = False, settings: Set = None) -> None:
    """Show the figures of each variant, what the test says, and the published sets."""
    from beauty_rec.serving.state.experiment.commands import status

    found = status(load_settings(data_dir, settings))
    if as_json:
        show(json.dumps(found, indent=2))
        return
    for line in status_lines(found):
        show(line)


@experiment_app.command("promote")
def promote_command(
    variant: Annotated[
        str | None, typer.Argument(help="unset: the one that the test has found better")
    ] = None,
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Serve a variant to everybody, and end the experiment."""
    from beauty_rec.serving.state.experiment.commands import promote_variant

    chosen = load_settings(data_dir, settings)
    refuse_read_only(chosen.data_dir)
    name, release = promote_variant(chosen, variant)
    say(f"promoted {name}: {served_line(release.set, release.settings.said)}")


@experiment_app.command("stop")
def stop_command(data_dir: DataDir = None, settings: Set = None) -> None:
    """End the experiment; everybody is served as before."""
    from beauty_rec.serving.state.experiment.commands import stop

    chosen = load_settings(data_dir, settings)
    refuse_read_only(chosen.data_dir)
    say(f"experiment {stop(chosen)} is over")


@app.command("rollback")
def rollback_command(
    set_name: Annotated[
        str | None,
        typer.Argument(metavar="[SET]", help="unset: what was served before; latest: the newest"),
    ] = None,
    pin: Annotated[
        bool, typer.Option("--pin", help="stay, also when a newer set is published")
    ] = False,
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Serve what was served before the last promotion or publication, or another kept set."""
    from beauty_rec.serving.published.release import rollback

    chosen = load_settings(data_dir, settings)
    refuse_read_only(chosen.data_dir)
    release = rollback(chosen.data_dir / "serving", set_name, pin=pin)
    until = "until the next promotion or rollback" if pin else "until a newer set is published"
    kept = until if release.set is not None else "as sets are published"
    say(f"{served_line(release.set, release.settings.said)}, {kept}")
