"""Many reviews in little memory (apart from the other readings, so that they run side by side)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from beauty_rec_tests.language.stub import Run, Stub


@pytest.mark.faults
def test_memory_stays_the_same_at_any_size(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server = stub("--slots", 64)
    told = Run(server, tmp_path / "run", 10_000, in_flight=64).end()
    assert told["right"] == told["requests"] == server.requests == 10_000
    print(f"grown by {told['grown_mb']:.0f} MB, {told['llm_seconds']} s")
    assert told["grown_mb"] < 150
