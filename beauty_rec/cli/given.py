"""`beauty-rec export` and `import`: what was given over the HTTP API, as a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.cli.inputs import load_settings
from beauty_rec.cli.options import DataDir, Set, app
from beauty_rec.cli.terminal import say


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="to write, JSON Lines; - is standard output")],
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Write the items and events that came over the API to a file."""
    from beauty_rec.serving.state.transfer import export_given

    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder; name the file to write in it")
    lines = list(export_given(load_settings(data_dir, settings)))
    text = "".join(f"{line}\n" for line in lines)
    if str(file) == "-":
        typer.echo(text, nl=False)
        return
    if file.exists() and not file.is_file():  # a pipe or a device, which a file must not replace
        file.write_text(text, encoding="utf-8")
    else:
        write_text_atomic(file.resolve(), text)  # what a link leads to, not the link
    say(f"{len(lines)} lines written to {file}")


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="of beauty-rec export; - is standard input")],
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Take in the items and events of a file; a running server knows them after a restart."""
    from beauty_rec.serving.state.transfer import import_given

    chosen = load_settings(data_dir, settings)
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        items, events = import_given(chosen, content.decode("utf-8-sig").split("\n"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 ({error.reason} at byte {error.start})") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}; nothing was taken in") from error
    say(f"{items} items and {events} events taken in")
