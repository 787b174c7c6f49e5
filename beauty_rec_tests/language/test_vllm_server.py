"""The server as a child process: it ends with us, whatever happens. A stub plays vLLM."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from beauty_rec.keywords.llm import LanguageModelExtractor
from beauty_rec.keywords.rules import RulesExtractor
from beauty_rec.language.errors import ServerProblem
from beauty_rec.language.reader import Reader
from beauty_rec.language.task import Question
from beauty_rec.language.vllm_server import VllmServer, serve_command
from beauty_rec.settings import LanguageSettings
from beauty_rec_tests.language.stub import STUB

# As vLLM does, it has a process of its own beside it that must not stay.
ENGINE = """
import subprocess, sys
engine = subprocess.Popen([sys.executable, "-c", "import signal, time; "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
open(sys.argv[1], "w").write(str(engine.pid))
sys.argv = ["stub", *sys.argv[2:]]
import runpy
runpy.run_path(%r, run_name="__main__")
"""


def settings(folder: Path, **more: object) -> LanguageSettings:
    program = folder / "vllm.py"
    program.write_text(ENGINE % str(STUB))
    told = {
        "backend": "openai",
        "serve": True,
        "model": "stub",
        "vllm_command": f"{sys.executable} {program} {folder / 'engine.pid'} "
        f"--log {folder / 'asked.log'} --model {{model}}",
        "start_timeout_s": 30,
        **more,
    }
    return LanguageSettings.model_validate(told)


def engine(folder: Path) -> int:
    return int((folder / "engine.pid").read_text())


def gone(pid: int, patience_s: float = 10) -> bool:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The engine ignores SIGTERM: let the watchdog wait for it less long than 20 s."""
    from beauty_rec.language import watchdog

    copy = tmp_path / "watchdog.py"
    copy.write_text(Path(watchdog.__file__).read_text().replace("GRACE_S = 20.0", "GRACE_S = 0.5"))
    monkeypatch.setattr(watchdog, "__file__", str(copy))


def test_it_serves_under_a_key_of_its_own_and_ends(tmp_path: Path) -> None:
    server = VllmServer(settings(tmp_path), tmp_path / "vllm.log")
    with ExitStack() as stack:
        stack.callback(server.stop)
        told = server.start()
        assert not told.serve
        models = f"{told.base_urls[0]}/models"
        assert httpx.get(models).status_code == 401
        assert told.api_key is not None
        key = {"Authorization": f"Bearer {told.api_key.get_secret_value()}"}
        assert httpx.get(models, headers=key).json()["data"] == [{"id": "stub"}]
        child = engine(tmp_path)
        commands = [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]
        assert not any(told.api_key.get_secret_value() in command for command in commands)
    assert gone(child)
    with pytest.raises(httpx.ConnectError):
        httpx.get(models)


def test_it_ends_when_a_reading_fails(tmp_path: Path) -> None:
    with Reader(settings(tmp_path, in_flight=1), tmp_path) as reader:
        task = LanguageModelExtractor(reader, RulesExtractor()).task

        def questions() -> Iterator[Question]:
            question = task.question({"text": "keyword: soft"})
            assert question is not None
            yield question
            raise RuntimeError("in the middle")

        with pytest.raises(RuntimeError, match="in the middle"):
            reader.read(questions(), None, "keywords")
    assert gone(engine(tmp_path))


@pytest.mark.parametrize("victim", ["parent", "server"])
def test_it_ends_when_killed(tmp_path: Path, victim: str) -> None:
    told = settings(tmp_path).model_dump_json(exclude_defaults=True)
    code = (
        "import sys, time; from pathlib import Path\n"
        "from beauty_rec.language import watchdog\n"
        "from beauty_rec.language.vllm_server import VllmServer\n"
        "from beauty_rec.settings import LanguageSettings\n"
        f"watchdog.__file__ = {str(tmp_path / 'watchdog.py')!r}\n"
        "told = LanguageSettings.model_validate_json(sys.argv[1])\n"
        "server = VllmServer(told, Path(sys.argv[2]))\n"
        "print(server.start().base_urls[0], flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, told, tmp_path / "vllm.log"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("http://127.0.0.1:")
        family = psutil.Process(parent.pid).children(recursive=True)
        child = engine(tmp_path)
        assert len(family) >= 3  # watchdog, server, engine
        if victim == "parent":
            os.kill(parent.pid, signal.SIGKILL)
            assert all(gone(process.pid) for process in family)
        else:
            next(p for p in family if "vllm.py" in p.cmdline()[1]).kill()
            assert gone(child)
    finally:
        parent.kill()
        parent.communicate()


def test_a_server_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'print(\"CUDA out of memory\"); exit(3)' {{model}}"
    server = VllmServer(settings(tmp_path, vllm_command=command), tmp_path / "vllm.log")
    with pytest.raises(ServerProblem, match=r"status 3 .*vllm\.log\nCUDA out of memory"):
        server.start()


def test_a_server_that_is_never_healthy_is_stopped(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'import time; print(1); time.sleep(600)' {{model}}"
    wanted = settings(tmp_path, vllm_command=command, start_timeout_s=1)
    with pytest.raises(ServerProblem, match=r"not healthy within 1 s \(llm\.start_timeout_s\)"):
        VllmServer(wanted, tmp_path / "vllm.log").start()
    assert not psutil.Process().children(recursive=True)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    wanted = settings(tmp_path, vllm_command="/no/vllm serve {model}")
    with pytest.raises(ServerProblem, match="no program '/no/vllm': install vLLM"):
        VllmServer(wanted, tmp_path / "vllm.log").start()


def test_the_command_line_says_what_the_settings_say() -> None:
    wanted = LanguageSettings(
        model="Qwen/Qwen3-8B",
        vllm_command="/opt/vllm/bin/vllm serve {model} --quantization fp8",
        gpu_memory_utilization=0.8,
        tensor_parallel_size=2,
        max_model_len=4_096,
        in_flight=256,
    )
    told = serve_command(wanted, 8123)
    assert told[:3] == ["/opt/vllm/bin/vllm", "serve", "Qwen/Qwen3-8B"]
    assert told[-2:] == ["--quantization", "fp8"]
    line = " ".join(told)
    for option in ("--port 8123", "--gpu-memory-utilization 0.8", "--tensor-parallel-size 2",
                   "--max-model-len 4096", "--max-num-seqs 256", "--host 127.0.0.1"):  # fmt: skip
        assert option in line
