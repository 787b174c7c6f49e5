"""A vLLM server as a child process: started, waited for, and surely stopped.

It lives in an environment of its own (``llm.vllm_command``), answers on the loopback address alone
under a key made up for it, and ends with the process that started it, however that ends: see
:mod:`beauty_rec.language.watchdog`.
"""

import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import httpx
from pydantic import SecretStr
from tqdm import tqdm

from beauty_rec.language import watchdog
from beauty_rec.language.errors import ServerProblem
from beauty_rec.settings import LanguageSettings, child_environment

POLL_S = 0.5
LOG_LINES = 15


class VllmServer:
    """``start`` and ``stop`` may be called from different threads; ``stop`` also ends a start."""

    def __init__(self, settings: LanguageSettings, log: Path) -> None:
        """Args:

        settings: model, command, GPUs and memory.
        log: what the server says is added to this file.
        """
        self._settings = settings
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()

    def start(self) -> LanguageSettings:
        """Start the server and wait until it is healthy; return settings that lead to it.

        Raises:
            ServerProblem: it ended, or did not become healthy in time; the message ends with what
                it said last.
        """
        settings, port = self._settings, _free_port()
        if (missing := missing_program(settings)) is not None:
            raise ServerProblem(missing)
        key = settings.api_key or SecretStr(secrets.token_urlsafe(24))
        self._log.parent.mkdir(parents=True, exist_ok=True)
        environment = {"VLLM_API_KEY": key.get_secret_value(), "PYTHONUNBUFFERED": "1"}
        if settings.gpus is not None:
            environment["CUDA_VISIBLE_DEVICES"] = settings.gpus
        began_at = self._log.stat().st_size if self._log.exists() else 0
        try:
            self._process = subprocess.Popen(
                [sys.executable, watchdog.__file__, str(self._log), *serve_command(settings, port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=child_environment(**environment),
            )
            self._wait_for_health(f"http://127.0.0.1:{port}/health", began_at)
        except BaseException:
            self.stop()
            raise
        return settings.model_copy(
            update={"base_urls": (f"http://127.0.0.1:{port}/v1",), "api_key": key, "serve": False}
        )

    def stop(self) -> None:
        """End the server and all its processes; returns when they are gone."""
        self._stopped.set()
        process = self._process
        if process is None:
            return
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()  # the watchdog sees this and ends the server
        process.wait()
        if process.stderr is not None:
            process.stderr.close()

    def _wait_for_health(self, url: str, began_at: int) -> None:
        settings, process = self._settings, self._process
        assert process is not None
        end = time.monotonic() + settings.start_timeout_s
        with tqdm(desc=f"starting {settings.model}", unit="s", disable=None) as bar:
            while time.monotonic() < end and not self._stopped.is_set():
                if process.poll() is not None:
                    said = process.stderr.read().decode(errors="replace") if process.stderr else ""
                    raise ServerProblem(
                        f"{settings.vllm_command!r} ended with status {process.returncode} before "
                        f"it was healthy; whole log: {self._log}\n{self._tail(began_at)}"
                        + "\n".join(said.splitlines()[-1:])
                    )
                try:
                    if httpx.get(url, timeout=5.0, trust_env=False).status_code == 200:
                        return
                except httpx.HTTPError:
                    pass
                time.sleep(POLL_S)
                bar.set_postfix_str(self._tail(began_at, lines=1).strip()[-80:])
                bar.update(POLL_S)
        raise ServerProblem(
            f"{settings.vllm_command!r} was not healthy within {settings.start_timeout_s:g} s "
            f"(llm.start_timeout_s); whole log: {self._log}\n{self._tail(began_at)}"
        )

    def _tail(self, began_at: int, lines: int = LOG_LINES) -> str:
        """Return the last lines that this server has said."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(max(began_at, self._log.stat().st_size - 20_000))
            said = log.read().decode(errors="replace").splitlines(keepends=True)
        return "".join(deque(said, lines))


def serve_command(settings: LanguageSettings, port: int) -> list[str]:
    """Return the command line of the server; options in ``vllm_command`` come last and win."""
    program, _, more = settings.vllm_command.partition("{model}")
    options = {
        "--served-model-name": settings.model,
        "--host": "127.0.0.1",
        "--port": port,
        "--max-model-len": settings.max_model_len,
        "--gpu-memory-utilization": settings.gpu_memory_utilization,
        "--tensor-parallel-size": settings.tensor_parallel_size,
        "--max-num-seqs": settings.in_flight,
    }
    given = [str(part) for pair in options.items() for part in pair]
    return [*shlex.split(program), settings.model, *given, *shlex.split(more)]


def missing_program(settings: LanguageSettings) -> str | None:
    """Return what is wrong with ``vllm_command``'s program, and the remedy; None if it is there."""
    program = shlex.split(settings.vllm_command)[0]
    if shutil.which(program) is not None:
        return None
    return (
        f"llm.serve is on, but there is no program {program!r}: install vLLM in an environment of "
        "its own and name it, such as --set 'llm.vllm_command=/opt/vllm/bin/vllm serve {model}'"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
