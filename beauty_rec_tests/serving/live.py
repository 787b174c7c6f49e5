"""`beauty-rec serve` as a process of its own, and a small crowd that asks it."""

import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx

from beauty_rec.settings import child_environment
from beauty_rec_tests.recommender.served_set import KEY, USER

PATIENCE_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LiveServer:
    """A running server; :meth:`kill` is ``kill -9``."""

    def __init__(
        self, data: Path | Mapping[str, Path], port: int, log: Path, *settings: str
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        options = ("requests_per_second=0", "poll_seconds=0.2", *settings)
        several = {} if isinstance(data, Path) else data
        folders = [part for name, at in several.items() for part in ("--shop", f"{name}={at}")]
        self._log = log.open("a")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", "from beauty_rec.cli import main; main()", "serve"),
                *(folders or ("--data-dir", str(data))),
                *("--port", str(port)),
                *(part for option in options for part in ("--set", f"serve.{option}")),
            ],
            stderr=self._log,
            stdout=self._log,
            env=child_environment(BEAUTY_REC_SERVE__API_KEY=KEY),
        )
        self.client = httpx.Client(base_url=self.url, timeout=20, headers={"X-API-Key": KEY})

    def wait(self, path: str, status: int, seconds: float = PATIENCE_S) -> None:
        """Wait until ``path`` answers with ``status``."""
        deadline = time.monotonic() + seconds
        last: object = None
        while time.monotonic() < deadline:
            assert self.process.poll() is None, Path(self._log.name).read_text()[-3000:]
            with suppress(httpx.TransportError):
                last = self.client.get(path).status_code
                if last == status:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{path} gave {last} and not {status} within {seconds} s")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
        self._log.close()


@contextmanager
def live_server(data: Path | Mapping[str, Path], log: Path, *settings: str) -> Iterator[LiveServer]:
    server = LiveServer(data, free_port(), log, *settings)
    try:
        server.wait("/readyz", 200)
        yield server
    finally:
        server.close()


class People(ABC):
    """Threads that do what :meth:`ask` does, each until it is over; use it as a context."""

    def __init__(self, people: int) -> None:
        self.over = threading.Event()
        self._threads = [threading.Thread(target=self.ask, args=(i,)) for i in range(people)]

    @abstractmethod
    def ask(self, person: int) -> None:
        """Ask until ``over`` is set."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()


class Crowd(People):
    """Asks for recommendations, and keeps what it got."""

    def __init__(self, url: str, people: int = 4) -> None:
        super().__init__(people)
        self.answers: list[httpx.Response] = []
        self.errors: list[str] = []
        self._url = url

    def ask(self, person: int) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as client:
            turn = 0
            while not self.over.is_set():
                turn += 1
                told = {"user_id": USER, "context": f"wish {person} {turn}", "k": 5}
                try:
                    self.answers.append(client.post("/v1/recommend", json=told))
                except httpx.TransportError as error:
                    self.errors.append(repr(error))
                    time.sleep(0.05)
