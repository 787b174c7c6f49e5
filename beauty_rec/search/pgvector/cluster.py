"""The files of an embedded cluster: whether they are whole, and how a damaged one makes room."""

import shutil
import subprocess
import time
from pathlib import Path

from beauty_rec.search.pgvector.postmaster import status_lines
from beauty_rec.search.pgvector.server import ClusterError, programs_of, starting_or_stopping

ASIDE = "damaged-"
OTHER_REASONS = ("data checksums are not enabled", "must be shut down")
"""Not to check a cluster: of an older release, or killed and not recovered yet."""


def cluster_fault(folder: Path) -> str | None:
    """Return what is damaged of the stopped cluster below ``folder``; None when nothing is.

    Of a running one, and of one that was killed, nothing is said: the server recovers and checks.
    """
    cluster = folder.resolve() / "cluster"
    if not (cluster / "PG_VERSION").exists():
        return f"{cluster / 'PG_VERSION'} is missing"
    with starting_or_stopping(folder):
        if status_lines(cluster):
            return None
        try:
            programs = programs_of(cluster)
        except ClusterError as error:
            return str(error)
        checked = subprocess.run(
            [programs.folder / "pg_checksums", "--check", "-D", cluster.name],
            cwd=cluster.parent, user=programs.user, capture_output=True, text=True,
        )  # fmt: skip
    said = " ".join(checked.stderr.split())
    if checked.returncode and not any(reason in said for reason in OTHER_REASONS):
        return f"{cluster} is damaged ({said[:300]})"
    return None


def set_aside(folder: Path) -> Path | None:
    """Move a damaged cluster away, so that a new one is made; return where it is.

    Only for what can be built anew. One that was set aside before is deleted.

    Raises:
        ClusterError: a server is running in it.
    """
    cluster = folder.resolve() / "cluster"
    with starting_or_stopping(folder):
        if not cluster.exists():
            return None
        if status_lines(cluster):
            raise ClusterError(
                f"{cluster} is damaged, and in use: stop what uses it, and try again"
            )
        for older in folder.glob(f"{ASIDE}*"):
            shutil.rmtree(older, ignore_errors=True)
        aside = folder / f"{ASIDE}{time.strftime('%Y%m%d-%H%M%S')}"
        cluster.rename(aside)
    return aside
