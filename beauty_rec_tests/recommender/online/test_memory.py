import platform
import subprocess
import sys

import pytest

# After a large block was freed, glibc keeps blocks up to its size in the heap, where one small
# block above them holds them all.
WORK = """
import sys, psutil, torch
from beauty_rec.recommender.online.sets.memory import map_large_blocks
if sys.argv[1] == "mapped":
    map_large_blocks()
resident = lambda: psutil.Process().memory_info().rss / 2**20
torch.ones(5_000_000)
before = resident()
large = [torch.ones(500_000) for _ in range(100)]
small = torch.ones(20_000)
del large
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries stay as they are")
def test_large_blocks_are_given_back() -> None:
    left = [
        float(
            subprocess.run(
                [sys.executable, "-c", WORK, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("mapped", "as by default")
    ]
    assert left[0] < 20 < left[1]
