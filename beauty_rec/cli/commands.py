"""`beauty-rec`: run the graph, look at its results, ask it."""

# Heavy imports wait for the command that needs them: --help is instant.

import errno
import json
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.cli.dry_run import dry_lines
from beauty_rec.cli.inputs import (
    lacks_sample,
    load_settings,
    make_sample_if_needed,
    refuse_read_only,
    refuse_without_reviews,
    refuse_without_sample,
    report_path,
    shop_pairs,
)
from beauty_rec.cli.options import DataDir, Set, app
from beauty_rec.cli.signals import Interrupted, end_on_signals, leave
from beauty_rec.cli.terminal import say, show, write_any_text
from beauty_rec.settings import (
    Measure,
    Profile,
    Split,
    Train,
    debugging,
    let_threads_sleep,
)

_REMEDIES = {
    errno.ENOSPC: "make room, or name another --data-dir",
    errno.EDQUOT: "make room, or name another --data-dir",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EACCES: "see who may read and write there",
    errno.EROFS: "name a folder that can be written to",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a folder",
    errno.EEXIST: "move it away, or name another",
    errno.ENOENT: "see how it is spelt",
}
"""Of what the system refuses."""


def main() -> None:
    """Run the command line; an error is one line on standard error and exit code 2."""
    end_on_signals()
    write_any_text()
    try:
        app()
    except Interrupted as interrupted:
        leave(interrupted)
    except Exception as error:
        said = traceback.format_exc() if debugging() else f"beauty-rec: {_said(error)}"
        say(said, err=True)
        sys.exit(2)


def _said(error: Exception) -> str:
    """Return what an error says; of one that nobody foresaw, its first line and its kind."""
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        remedy = _REMEDIES.get(error.errno)
        return f"{where}{error.strerror}{f'; {remedy}' if remedy else ''}"
    if isinstance(error, OSError | ValueError | RuntimeError):
        return str(error)
    first = str(error).strip().partition("\n")[0]
    if type(error).__name__ == "OperationalError":  # of SQLite, or of PostgreSQL
        return f"a database failed: {first}; is its disk full or read-only, or its server away?"
    return f"{type(error).__name__}: {first} (BEAUTY_REC_DEBUG=1 shows where)"


@app.command()
def run(
    reviews: Annotated[
        Path | None, typer.Option(help="reviews: .jsonl, .jsonl.gz or .parquet")
    ] = None,
    items: Annotated[Path | None, typer.Option(help="item metadata, same formats")] = None,
    profiles: Annotated[Path | None, typer.Option(help="user profiles, same formats")] = None,
    hidden_items: Annotated[
        Path | None, typer.Option(help="items that are never shown: ids, one a line")
    ] = None,
    data_dir: DataDir = None,
    profile: Annotated[
        Profile | None, typer.Option(help="sample: packaged encoder, CPU; full: BAAI/bge-m3")
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="assets, Dagster's syntax, commas: 'keywords+,text_index'")
    ] = None,
    partition: Annotated[Split | None, typer.Option(help="only this split")] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="build even what is fresh, but not what 'never' leaves"),
    ] = False,
    train: Annotated[
        Train,
        typer.Option(help="models whose data changed: left as they are, trained anew; always: all"),
    ] = "stale",
    measure: Annotated[
        Measure,
        typer.Option(help="metrics of models that stayed: measured anew, or left as they are"),
    ] = "stale",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be built, and why")
    ] = False,
    settings: Set = None,
) -> None:
    """Build what is missing or stale, in order. Without inputs: on a synthetic sample.

    What it is given (inputs, profile, settings) is kept in the data folder for later commands.
    """
    chosen = load_settings(
        data_dir,
        settings,
        profile=profile,
        reviews=reviews,
        items=items,
        profiles=profiles,
        hidden_items=hidden_items,
    )
    refuse_without_reviews(chosen)
    if dry_run:
        lines = dry_lines(chosen, select, partition, force=force, train=train, measure=measure)
        for line in lines:
            say(line)
        return
    refuse_read_only(chosen.data_dir)
    lacks_sample(chosen)  # says what is missing before a folder is made

    from beauty_rec.orchestration.code_location import build_definitions
    from beauty_rec.orchestration.refresh.folder import Request, folder_refresh
    from beauty_rec.orchestration.storage.dagster_home import open_instance

    definitions = build_definitions(chosen)
    with open_instance(chosen.data_dir) as instance:
        request = Request(select, partition, force, train, measure)
        prepare = partial(make_sample_if_needed, chosen)
        with folder_refresh(
            definitions, instance, chosen.data_dir, request, prepare=prepare
        ) as refreshed:
            write_text_atomic(chosen.memory_path, chosen.remembered())
            for result in refreshed:
                line = f"{result.status:<7} {result.step!s:<34} {result.seconds:8.1f} s"
                say(f"{line}  {result.reason}".rstrip())
    say(refreshed.summary)
    raise typer.Exit(1 if refreshed.counts["failed"] else 0)


@app.command()
def report(
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="the report as JSON")] = False,
) -> None:
    """Show the metrics of the last run."""
    from beauty_rec.cli.report_view import terminal_view
    from beauty_rec.evaluation.report.document import read_report

    path = report_path(load_settings(data_dir))
    found = read_report(path)
    if as_json:
        show(json.dumps(found, indent=2))
        return
    from rich.console import Console

    try:
        view = terminal_view(found)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); run `beauty-rec run` again") from error
    Console().print(view)


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="another than this machine's own needs serve.api_key")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535)] = None,
    shop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER", help="a data folder below /v1/shops/NAME/; again for another"
        ),
    ] = None,
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Serve the HTTP API and the web page, by default to this machine alone.

    It changes over to a newer set by itself, as soon as a run has published one.
    """
    let_threads_sleep()
    from beauty_rec.serving.http.server import serve as serve_settings

    given = {"serve.host": host, "serve.port": port}
    pairs = [f"{name}={value}" for name, value in given.items() if value is not None]
    pairs = [*(settings or []), *pairs, *shop_pairs(shop or [])]
    chosen = load_settings(data_dir, pairs)
    shops = {n: partial(load_settings, f, pairs) for n, f in chosen.shops.folders.items()}
    serve_settings(chosen, shops)


@app.command()
def plan(
    reviews: Annotated[Path | None, typer.Option(help="as of run")] = None,
    items: Annotated[Path | None, typer.Option(help="as of run")] = None,
    profiles: Annotated[Path | None, typer.Option(help="as of run")] = None,
    data_dir: DataDir = None,
    profile: Annotated[Profile | None, typer.Option(help="as of run")] = None,
    settings: Set = None,
) -> None:
    """Say what a run here takes: steps, tokens, hours, memory and disk; builds nothing.

    The data is counted and the models' layers are timed on this machine. Exit code 1 where memory
    or disk would not do.
    """
    from beauty_rec.cli.plan import make_plan, plan_lines

    chosen = load_settings(
        data_dir, settings, profile=profile, reviews=reviews, items=items, profiles=profiles
    )
    refuse_without_reviews(chosen)
    refuse_without_sample(chosen)
    lacking = False
    for line in plan_lines(make_plan(chosen)):
        lacking = lacking or line.startswith("lacking")
        say(line)
    raise typer.Exit(1 if lacking else 0)


@app.command()
def doctor(data_dir: DataDir = None, settings: Set = None) -> None:
    """Say what this machine has, and what would run."""
    from beauty_rec.cli.doctor import examine

    findings = examine(load_settings(data_dir, settings))
    for finding in findings:
        say(f"{finding.verdict:<5} {finding.name:<12} {finding.text}")
    raise typer.Exit(1 if any(finding.verdict == "fail" for finding in findings) else 0)


if __name__ == "__main__":
    main()
