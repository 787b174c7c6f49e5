"""`beauty-rec run` on a graph whose second step never ends: MODE, then the command's options.

``python``: it computes in Python, and may be tried again; ``c``: it is inside one call of C;
``postgres``: it holds a server and a child process.
"""

import subprocess
import sys
import time
from pathlib import Path

import dagster as dg

from beauty_rec.cli import main
from beauty_rec.orchestration import code_location
from beauty_rec.settings import Settings

MODE = sys.argv.pop(1)


def definitions_of(settings: Settings) -> dg.Definitions:
    def forever() -> None:
        print("begun", flush=True)
        while MODE != "c":
            time.sleep(0.01)
        time.sleep(1_000)

    @dg.observable_source_asset
    def file() -> dg.DataVersion:
        return dg.DataVersion("1")

    @dg.asset(deps=[file])
    def first() -> None: ...

    @dg.asset(deps=[first], retry_policy=dg.RetryPolicy(max_retries=3))
    def endless() -> None:
        from beauty_rec.search.pgvector.server import postgres

        if MODE != "postgres":
            forever()
        with postgres(settings.data_dir / "postgres"):
            subprocess.Popen(["sleep", "1000"])
            time.sleep(0.1)
            print("begun", flush=True)
            time.sleep(1_000)

    @dg.asset(deps=[first])
    def never() -> None:
        Path(settings.data_dir, "never").touch()

    return dg.Definitions(assets=[file, first, endless, never])


code_location.build_definitions = definitions_of  # type: ignore[assignment]
if __name__ == "__main__":
    main()
