"""The wheel holds all that it needs: installed elsewhere, it serves its page and answers."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import beauty_rec
from beauty_rec.settings import child_environment
from beauty_rec_tests.serving.live import free_port

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "beauty_rec"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources: nothing is left beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(PACKAGE, source / "beauty_rec", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with the wheel, and with what it depends on from here."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Lines of a .pth come after the environment's own packages, and bring no .pth of theirs: an
    # editable install of the sources stays out.
    ours = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("\n".join(ours) + "\n", encoding="utf-8")
    return python


def run(*command: object, **options: Any) -> str:
    """Run a command and return its output; its errors are the assertion's message."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outside() -> dict[str, str]:
    """The environment of a process that knows nothing of the sources."""
    return {n: v for n, v in child_environment().items() if n not in ("PYTHONPATH", "PYTHONHOME")}


def test_every_file_beside_the_modules_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("beauty_rec/")}
    files = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - packed == set()
    assert "beauty_rec/py.typed" in packed


@pytest.mark.slow
def test_the_installed_package_is_the_one_of_the_wheel(python: Path, tmp_path: Path) -> None:
    code = "import beauty_rec, beauty_rec.cli, torch; print(beauty_rec.__file__)"
    found = Path(run(python, "-c", code, cwd=tmp_path, env=outside()).strip())
    assert found.is_relative_to(python.parent.parent)
    assert found != Path(beauty_rec.__file__)
    assert "serve" in run(python.with_name("beauty-rec"), "--help", cwd=tmp_path, env=outside())


@contextmanager
def serving(python: Path, data: Path, folder: Path) -> Iterator[httpx.Client]:
    """Yield a client of the installed server; at the end no process of it is left."""
    port, log = free_port(), folder / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                *(python.with_name("beauty-rec"), "serve"),
                *("--data-dir", str(data), "--port", str(port)),
            ],
            cwd=folder,
            env=outside(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            wait_for(client, server, log)
            yield client
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        left = processes_of(data)
        for process in left:
            process.kill()
        assert not left, f"the server left {left}"


def processes_of(data: Path) -> list[psutil.Process]:
    """Return what runs on a data folder: the server, and its database.

    The database is no child of the server, it has a session of its own. The folder is this test's
    alone, so nothing else names it.
    """
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(word == str(data) or word.startswith(f"{data}/") for word in words):
            found.append(process)
    return found


def wait_for(client: httpx.Client, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-3000:]
        with suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"not ready within {PATIENCE_S} s: {log.read_text()[-3000:]}")


@pytest.mark.slow
def test_the_installed_server_gives_its_page_and_answers(
    python: Path, data: Path, tmp_path: Path
) -> None:
    page = PACKAGE / "serving" / "http" / "page"
    with serving(python, data, tmp_path) as client:
        start = client.get("/")
        assert start.status_code == 200
        assert start.text == (page / "index.html").read_text(encoding="utf-8")
        asked = set(re.findall(r'(?:href|src)="/assets/([^"]+)"', start.text))
        assert {Path(name).suffix for name in asked} >= {".css", ".js", ".svg"}
        for path in page.iterdir():
            answer = client.get(f"/assets/{path.name}")
            assert answer.status_code == 200, path.name
            assert answer.content == path.read_bytes(), path.name
            asked.discard(path.name)
        assert not asked, "the page asks for what is not there"
        found = client.get("/v1/search", params={"q": "rose soap", "k": 3}).json()
        assert len(found["items"]) == 3
