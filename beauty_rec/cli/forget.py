"""`beauty-rec forget`: who was forgotten, and what was dropped where."""

from typing import Annotated

import typer

from beauty_rec.cli.inputs import load_settings, readable
from beauty_rec.cli.options import DataDir, Set, app
from beauty_rec.cli.terminal import say


@app.command("forget")
def forget_command(
    user: Annotated[
        str | None, typer.Argument(help="a user's id; a server that runs is to be asked instead")
    ] = None,
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Forget a user; without one, list by hash who was forgotten, and what was dropped where.

    A running server knows it after a restart; DELETE /v1/users/{id} takes effect at once.
    """
    from beauty_rec.corpus.forgotten_record import read_record, record
    from beauty_rec.serving.state.database import STORE, Store
    from beauty_rec.serving.state.taking import open_store

    chosen = load_settings(data_dir, settings)
    if user is not None:
        store = Store(chosen.data_dir / STORE, chosen.item_index.dsn)
        try:
            store.open()
            mark, _ = store.forget(readable(user, "the id"))
            store.scrub()
        finally:
            store.close()
        say(f"forgotten as {mark.digest.hex()}; the next run drops what the pipeline holds")
        return
    with open_store(chosen) as known:
        if known is not None:
            record(chosen.data_dir, known.forgotten(), "", {})
    for digest, entry in sorted(
        read_record(chosen.data_dir).items(), key=lambda each: each[1]["forgotten_at"]
    ):
        say(f"{digest}  forgotten {entry['forgotten_at']}")
        for where, found in sorted(entry["dropped"].items()):
            times = f"first {found['first']}, last {found['last']}"
            say(f"    {found['rows']:>6} rows of {where}, {times}")
