"""`beauty-rec forget`: who was forgotten, and what was dropped where."""

from typing import Annotated

import typer

from beauty_rec.cli.inputs import given_id, load_settings
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
    from beauty_rec.corpus.forgotten_record import RECORD, read_record, record
    from beauty_rec.serving.published.last_event import last_in_sets
    from beauty_rec.serving.state.database import STORE
    from beauty_rec.serving.state.taking import made_store, open_store

    chosen = load_settings(data_dir, settings)
    folder = chosen.data_dir
    if not any((folder / name).exists() for name in ("settings.json", STORE, RECORD)):
        raise FileNotFoundError(
            f"{folder} is no data folder: it has neither settings.json nor {STORE}/; "
            "see how --data-dir is spelt"
        )
    if user is not None:
        user_id = given_id(user, "the id")
        with made_store(chosen) as store:
            mark, events = store.forget(user_id, last_in_sets(folder / "serving", user_id))
            store.scrub()
        say(
            f"forgotten as {mark.digest.hex()}; given events deleted: {events}; "
            "the next run drops what the pipeline holds"
        )
        return
    with open_store(chosen) as known:
        if known is not None:
            record(folder, known.forgotten(), "", {})
    for digest, entry in sorted(
        read_record(folder).items(), key=lambda each: each[1]["forgotten_at"]
    ):
        say(f"{digest}  forgotten {entry['forgotten_at']}")
        for where, found in sorted(entry["dropped"].items()):
            times = f"first {found['first']}, last {found['last']}"
            say(f"    {found['rows']:>6} rows of {where}, {times}")
