"""The end of a server: open requests are answered, and no client finds its connection shut."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

FURTHER = (signal.SIGHUP, signal.SIGQUIT)
"""Signals that end a server, beside those that uvicorn takes."""
DRAIN_SECONDS = 0.5
SHUTDOWN_SECONDS = 10


class Server(uvicorn.Server):
    """Uvicorn that ends in good order at every signal, and loses no request while it ends."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals until the end; the one that came is raised again then."""
        with super().capture_signals():
            before = {number: signal.getsignal(number) for number in FURTHER}
            for number, handler in before.items():
                if handler != signal.SIG_IGN:  # nohup
                    signal.signal(number, self.handle_exit)
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have clients close their connections, then close the door, then what is left.

        A connection that is closed between two requests may have the next one on its way.
        """
        state = self.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(DRAIN_SECONDS)
        for server in self.servers:
            server.close()
        await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets)
