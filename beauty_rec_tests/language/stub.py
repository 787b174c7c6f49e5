"""A stub server and a reading, each as a process."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from beauty_rec.settings import LanguageSettings

READ = Path(__file__).with_name("read_reviews.py")
STUB = Path(__file__).with_name("stub_server.py")


class Stub:
    """A stub server as a process; its log of questions outlives a kill."""

    def __init__(self, folder: Path, *options: object) -> None:
        self.log = folder / "asked.log"
        self._options = [str(option) for option in options]
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, on the port that it had before."""
        self._process = subprocess.Popen(
            [sys.executable, STUB, "--log", self.log, "--port", str(self.port), *self._options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def asked(self) -> Counter[str]:
        """How often each text was asked."""
        return Counter(line.split()[1] for line in self.log.read_text().splitlines())

    @property
    def requests(self) -> int:
        return sum(self.asked().values())

    def capacity_used(self) -> float:
        """Busy seconds of the slots between first question and last answer, as a share."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}/stats", timeout=10)
        return float(answer.json()["capacity_used"])

    def settings(self, **more: object) -> LanguageSettings:
        told = {"backend": "openai", "base_urls": [self.url], "model": "stub", **more}
        return LanguageSettings.model_validate(told)


class Run:
    """A reading as a process of its own."""

    def __init__(self, stub: Stub, folder: Path, rows: int, **settings: object) -> None:
        told = stub.settings(**settings).model_dump_json(exclude_defaults=True)
        self._process = subprocess.Popen(
            [sys.executable, READ, folder, str(rows), told],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def end(self) -> dict[str, Any]:
        """Wait for the end and return its figures."""
        out, err = self._process.communicate(timeout=240)
        assert self._process.returncode == 0, err[-3000:]
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told
