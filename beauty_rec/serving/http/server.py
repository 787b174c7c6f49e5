"""`beauty-rec serve`: the app on uvicorn, with safe defaults."""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager

from beauty_rec import tracing
from beauty_rec.recommender.online.sets.memory import map_large_blocks
from beauty_rec.serving.http.ending import SHUTDOWN_SECONDS, Server
from beauty_rec.serving.http.hosts import is_own
from beauty_rec.serving.http.telemetry import log_as_json
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.garbage import set_aside
from beauty_rec.settings import Settings

ReadSettings = Callable[[], Settings]
LOG = logging.getLogger("beauty_rec.serving")


def serve(settings: Settings, shops: Mapping[str, ReadSettings] | None = None) -> None:
    """Serve until interrupted.

    Args:
        settings: of the server, and of its data folder where that is the only one.
        shops: what reads the settings of each shop's data folder, by name; none: there is but one.

    Raises:
        ValueError: an address that others reach is asked for without an API key.
        ConnectionError: the address is taken.
        FileNotFoundError: nothing was published yet; the message names the remedy.
        ManifestError: the set is not what its manifest says.
        RuntimeError: none of several shops can be opened, or the database is another shop's.
    """
    given = settings.serve
    if not is_own(given.host) and given.api_key is None:
        raise ValueError(
            f"serve.host = {given.host} is reached by others: set serve.api_key "
            "(BEAUTY_REC_SERVE__API_KEY, 16 characters or more) first"
        )
    with _bound(given.host, given.port) as door:
        _serve(settings, shops or {}, door)


def _serve(settings: Settings, several: Mapping[str, ReadSettings], door: socket.socket) -> None:
    import torch
    import uvicorn

    from beauty_rec.serving.http.app import create_shops_app
    from beauty_rec.serving.http.connections import bounds
    from beauty_rec.serving.http.shops.shop import Shop, each_its_database

    if settings.serve.threads is not None:
        torch.set_num_threads(settings.serve.threads)
    log_as_json()
    map_large_blocks()
    tracing.start(settings.traces, "beauty_rec.serve")
    with ExitStack() as closed:
        if several:
            shops = [Shop(name, read) for name, read in each_its_database(several).items()]
        else:
            shops = [Shop(None, lambda: settings, Engine(settings))]
        for shop in shops:
            closed.enter_context(closing(shop))
            shop.open()
        if not any(shop.is_open for shop in shops):
            said = "; ".join(f"{shop.name}: {shop.fault}" for shop in shops)
            raise RuntimeError(f"no shop can be served: {said}")
        config = uvicorn.Config(
            create_shops_app(shops, settings),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            **bounds(settings.serve),
        )
        set_aside()
        try:
            door.listen(config.backlog)
        except OSError as error:  # another server began to listen meanwhile
            raise _refusal(settings.serve.host, settings.serve.port, error) from error
        host, port = door.getsockname()[:2]
        for shop in shops:
            if shop.is_open:
                shown = f"[{host}]" if ":" in host else host
                _log_serving(f"http://{shown}:{port}/", shop.name, shop.engine)
        Server(config).run(sockets=[door])


def _log_serving(address: str, shop: str | None, engine: Engine) -> None:
    served = {"set": engine.shop.manifest.set, "items": len(engine.shop.catalogue)}
    named = {} if shop is None else {"shop": shop}
    LOG.info("serving", extra={"address": address, **named, **served})


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket of the address, before anything is loaded; it does not listen yet.

    Until one listens, several may have the address.

    Raises:
        ConnectionError: the address is taken, or none of this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found)  # IPv4 where a name has both
        door = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConnectionError(f"cannot serve at {host}:{port}: {error}") from error
    with door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(address)
        except OSError as error:
            raise _refusal(host, port, error) from error
        yield door


def _refusal(host: str, port: int, error: OSError) -> ConnectionError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ConnectionError(f"cannot serve at {host}:{port}: {reason}")
