"""The end of a server: open requests are answered, and no client finds its connection shut."""

import asyncio
import ctypes
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

FURTHER = (signal.SIGHUP, signal.SIGQUIT)
"""Signals that end a server, beside those that uvicorn takes."""
DRAIN_SECONDS = 0.5
SHUTDOWN_SECONDS = 10
_SO_ATTACH_FILTER = 26
"""Of Linux; Python's socket module does not name it."""


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
            for listening in server.sockets:
                if listening is not None:  # uvloop has none of a door that never opened
                    _let_nobody_queue(listening)
        await asyncio.sleep(DRAIN_SECONDS)  # in which those who queue are let in
        for server in self.servers:
            server.close()
        await super().shutdown(sockets)


def _let_nobody_queue(listening: socket.socket) -> None:
    """Have Linux drop what comes to a listening socket: who queues when it closes is cut off.

    A client that is not let in tries again within a second, and finds the door closed.
    """
    if sys.platform != "linux":
        return
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HP", 1, ctypes.addressof(drop_all))
    listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
