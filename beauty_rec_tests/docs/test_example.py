"""The example runs as it stands, with no orchestrator in sight."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from beauty_rec.settings import child_environment
from beauty_rec_tests.docs.pages import ROOT

EXAMPLE = ROOT / "examples" / "without_dagster.py"
RUN = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="__main__")
print(*[m for m in sys.modules if m.split(".")[0] in ("dagster", "chromadb", "fastapi")])
"""


@pytest.mark.slow
def test_the_example_measures_its_lists_without_dagster(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, EXAMPLE],
        cwd=tmp_path,
        env=child_environment(PYTHONPATH=str(ROOT), HF_HUB_OFFLINE="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, others = done.stdout.splitlines()
    assert others == ""
    rows = {
        m[1]: m[2].split() for line in lines if (m := re.match(r"(by \w+|fused) {2,}(.+)", line))
    }
    assert set(rows) == {"by wish", "by past", "fused"}
    assert float(rows["by wish"][0]) >= 0.5, "a wish finds what it describes"
    assert list(tmp_path.iterdir()) == []


def test_every_cell_begins_as_editors_expect() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    cells = re.findall(r"^# %%(.*)$", text, re.M)
    assert len(cells) >= 10
    assert set(cells) == {"", " [markdown]"}
