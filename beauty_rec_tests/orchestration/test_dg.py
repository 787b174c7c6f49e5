"""The `dg` command finds the code location by `[tool.dg]`, beside `dagster dev`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beauty_rec.orchestration.code_location import STAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_dg_loads_and_lists_every_asset(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    command = Path(sys.executable).with_name("dg")
    answer = subprocess.run(
        [str(command), "list", "defs", "--json"],
        cwd=ROOT,
        env={
            **os.environ,
            "DAGSTER_HOME": str(tmp_path),
            "BEAUTY_REC_DATA_DIR": str(tmp_path),
            "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    listed = {each["asset_key"] for each in json.loads(answer.stdout)["assets"]}
    assert {asset.key.to_user_string() for asset in STAGES} <= listed
