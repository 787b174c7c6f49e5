"""`beauty-rec serve`: the app on uvicorn, with safe defaults."""

import logging
import sys

from beauty_rec.recommender.online.memory import map_large_blocks
from beauty_rec.serving.http.middleware import is_own
from beauty_rec.serving.http.telemetry import log_as_json
from beauty_rec.serving.state.database import DatabaseDown
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import Settings

LOG = logging.getLogger("beauty_rec.serving")
SHUTDOWN_SECONDS = 10
SWITCH_S = 0.0002
"""A small answer waits this long, not Python's 5 ms, each time a large one is at its turn."""


def serve(settings: Settings) -> None:
    """Serve until interrupted.

    Raises:
        ValueError: an address that others reach is asked for without an API key.
        FileNotFoundError: nothing was published yet; the message names the remedy.
        ManifestError: the set is not what its manifest says.
    """
    import torch
    import uvicorn

    from beauty_rec.serving.http.app import create_app
    from beauty_rec.serving.http.connections import bounds

    given = settings.serve
    if not is_own(given.host) and given.api_key is None:
        raise ValueError(
            f"serve.host = {given.host} is reached by others: set serve.api_key "
            "(BEAUTY_REC_SERVE__API_KEY, 16 characters or more) first"
        )
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    log_as_json()
    map_large_blocks()
    sys.setswitchinterval(SWITCH_S)
    engine = Engine(settings)
    try:
        engine.store.open()
    except DatabaseDown as error:  # it is looked for again; answers do not need it
        LOG.warning("database", extra={"error": str(error)})
    LOG.info(
        "serving",
        extra={
            "address": f"http://{given.host}:{given.port}/",
            "set": engine.shop.manifest.set,
            "items": len(engine.shop.catalogue),
        },
    )
    try:
        uvicorn.run(
            create_app(engine),
            host=given.host,
            port=given.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            **bounds(given),
        )
    finally:
        engine.store.close()
