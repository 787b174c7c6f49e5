"""The embedded server: shared, stopped by its last user, usable after any kill."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from beauty_rec.search.pgvector.server import Programs, postgres

CLIENT = """
import sys
from pathlib import Path
import psycopg
from beauty_rec.search.pgvector.server import postgres
with postgres(Path(sys.argv[1])) as dsn:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
        connection.execute("INSERT INTO notes VALUES (%s)", [sys.argv[2]])
    print("ready", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def client_process(folder: Path, note: str) -> Iterator[subprocess.Popen]:
    """Another process that writes ``note``, and uses the server until its stdin closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(folder), note],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.communicate("\n" if process.poll() is None else None)


def server_pid(folder: Path) -> int | None:
    path = folder / "cluster" / "postmaster.pid"
    return int(path.read_text().split("\n")[0]) if path.exists() else None


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def notes(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {note for (note,) in connection.execute("SELECT note FROM notes")}


def test_two_processes_share_it_and_the_last_stops_it(postgres_folder: Path) -> None:
    with client_process(postgres_folder, "shared"):
        pid = server_pid(postgres_folder)
        with postgres(postgres_folder) as dsn, postgres(postgres_folder) as again:
            assert again == dsn
            assert server_pid(postgres_folder) == pid
            assert "shared" in notes(dsn)
        assert server_pid(postgres_folder) == pid  # the other process is still there
    assert server_pid(postgres_folder) is None
    assert pid is not None
    wait_until_dead(pid)


def test_a_killed_client_leaves_a_server_for_the_next(postgres_folder: Path) -> None:
    with client_process(postgres_folder, "before the kill") as client:
        client.kill()
        client.wait()
    pid = server_pid(postgres_folder)
    with postgres(postgres_folder) as dsn:
        assert server_pid(postgres_folder) == pid
        assert "before the kill" in notes(dsn)
    assert server_pid(postgres_folder) is None


def test_a_killed_server_is_started_anew_and_recovers(postgres_folder: Path) -> None:
    with postgres(postgres_folder) as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
            connection.execute("INSERT INTO notes VALUES ('committed')")
        # A query that outlives its server unless somebody ends it.
        busy = psycopg.connect(dsn, autocommit=True)
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 4000000000)")
        pid = server_pid(postgres_folder)
        assert pid is not None
        time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        wait_until_dead(pid)
        with postgres(postgres_folder) as again:
            assert server_pid(postgres_folder) != pid
            assert "committed" in notes(again)
        busy.close()
    assert server_pid(postgres_folder) is None


@pytest.mark.parametrize(
    "content", ["{living}\n/somewhere\n1\n5432\n/tmp\n\n\nready\n", "", "torn"]
)
def test_a_stale_pid_file_is_no_server(postgres_folder: Path, content: str) -> None:
    # Of a process that is no postgres, but has the number that one had.
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (postgres_folder / "cluster" / name).write_text(content.format(living=os.getpid()))
    with postgres(postgres_folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_path_too_long_for_a_socket(postgres_folder: Path) -> None:
    base = Path(tempfile.mkdtemp())
    deep = base / ("long" * 20) / ("deep" * 20)
    try:
        deep.mkdir(parents=True)
        (postgres_folder / "cluster").rename(deep / "cluster")
        with postgres(deep) as dsn:
            sockets = Path(str(conninfo_to_dict(dsn)["host"]))
            assert psycopg.connect(dsn).execute("SELECT 1").fetchone() == (1,)
        assert not sockets.exists()
    finally:
        (deep / "cluster").rename(postgres_folder / "cluster")
        shutil.rmtree(base)


def test_only_its_user_may_connect(postgres_folder: Path) -> None:
    with postgres(postgres_folder) as dsn:
        socket = Path(str(conninfo_to_dict(dsn)["host"])) / ".s.PGSQL.5432"
        assert socket.stat().st_mode & 0o077 == 0
        assert (postgres_folder / "cluster").stat().st_mode & 0o077 == 0
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_a_dsn_is_used_as_it_is(tmp_path: Path) -> None:
    with postgres(tmp_path / "none", SecretStr("host=db password=secret")) as dsn:
        assert dsn == "host=db password=secret"
    assert not (tmp_path / "none").exists()


def test_what_went_wrong_is_in_the_error(postgres_folder: Path) -> None:
    option = postgres_folder / "cluster" / "postgresql.auto.conf"
    before = option.read_text()
    try:
        option.write_text("max_connections = many\n")
        with pytest.raises(RuntimeError, match=r"did not start(.|\n)*max_connections"):
            postgres(postgres_folder).__enter__()
    finally:
        option.write_text(before)


def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ls failed: .*nowhere.*No such file"):
        Programs(Path("/bin"), None).run("ls", "nowhere", cwd=tmp_path)


def test_a_process_that_ends_without_leaving_stops_its_server(postgres_folder: Path) -> None:
    code = CLIENT.replace("sys.stdin.readline()", "import os; leave_all(); os._exit(0)")
    code = code.replace("import postgres\n", "import leave_all, postgres\n")
    with client_process(postgres_folder, "one") as other:
        pid = server_pid(postgres_folder)
        assert pid is not None
        left = [sys.executable, "-c", code, str(postgres_folder), "two"]
        subprocess.run(left, check=True, capture_output=True)
        assert psutil.pid_exists(pid)  # another process uses it
        other.communicate("\n")
    wait_until_dead(pid)
    subprocess.run(left, check=True, capture_output=True)
    assert server_pid(postgres_folder) is None


def test_a_copied_data_folder_is_used_like_its_original(postgres_folder: Path) -> None:
    with client_process(postgres_folder, "before the copy"):
        pass
    copy = postgres_folder.with_name(f"{postgres_folder.name}-copy")
    shutil.copytree(postgres_folder, copy)
    try:
        with postgres(copy) as dsn, psycopg.connect(dsn) as connection:
            notes = connection.execute("SELECT note FROM notes").fetchall()
    finally:
        shutil.rmtree(copy)
    assert ("before the copy",) in notes


@pytest.mark.parametrize("in_temporary", [False, True])
def test_a_folder_may_be_called_anything(
    in_temporary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signs that mean something to a list of paths, a shell, a pattern or an address."""
    base = Path(tempfile.mkdtemp())
    folder = base / """shop [new], "it's" $HOME `a*b` \\ ü #1%20?""" / "postgres"
    try:
        if in_temporary:
            folder.parent.mkdir(parents=True)
            monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
        for _ in range(2):
            with postgres(folder) as dsn, psycopg.connect(dsn) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        assert server_pid(folder) is None
    finally:
        shutil.rmtree(base)
