"""Commands as a user who may read and write only what the modes of files say, whoever runs them."""

import ctypes
import subprocess
import sys

from beauty_rec.settings import child_environment

PR_CAPBSET_DROP = 24
OVERRIDES = (1, 2)
"""Of Linux: what lets root read and write whatever the modes say."""


def without_overrides() -> None:
    """Give up what root may do beside the modes; of anybody else there is nothing to give up."""
    for one in OVERRIDES:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, one, 0, 0, 0)


def beauty_rec_plainly(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "beauty_rec.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False, env=child_environment(),
        preexec_fn=without_overrides,
    )  # fmt: skip
