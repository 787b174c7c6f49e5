"""Ask WRITABLE, then READ_ONLY as a user who may not write there, in one process.

Root may write anywhere, so it becomes another user, after all that is imported is imported.
"""

import os
import sys
from pathlib import Path

from beauty_rec.cli import app
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import Settings

WRITABLE, READ_ONLY = map(Path, sys.argv[1:])


def ask(folder: Path) -> None:
    for command in (["search", "rose soap"], ["recommend", "--context", "rose soap"]):
        app([*command, "-k", "3", "--data-dir", str(folder)], standalone_mode=False)


ask(WRITABLE)
print("read-only", flush=True)
if os.getuid() == 0:
    os.setuid(65534)
ask(READ_ONLY)
engine = Engine(Settings(data_dir=READ_ONLY))
engine.store.keep_open()
print("ready", engine.ready == [], len(engine.shop.catalogue))
try:
    engine.add_items([NewItem(parent_asin="N1", title="A soap")])
except DatabaseDown as error:
    print(error)
engine.close()
