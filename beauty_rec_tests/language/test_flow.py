"""A whole reading against a stub server: capacity, kills, a dying server, bad answers."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from beauty_rec_tests.language.stub import Run, Stub

FAULTS = ("--faults", 0.1)


def wait_for(stub: Stub, requests: int) -> None:
    end = time.monotonic() + 120
    while stub.requests < requests:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_the_servers_batch_is_kept_full(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server = stub("--slots", 16, "--latency", 0.25)
    # More in flight than the batch holds: a queue at the server hides our own work between two.
    told = Run(server, tmp_path / "run", 256, in_flight=32).end()
    assert told["right"] == 256
    used = server.capacity_used()
    print(f"capacity used: {used:.4f}")
    assert used >= 0.95


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param((), id="good answers"),
        pytest.param(FAULTS, marks=pytest.mark.faults, id="a tenth is bad"),
    ],
)
def test_a_killed_reading_goes_on_where_it_was(
    stub: Callable[..., Stub], tmp_path: Path, faults: tuple[object, ...]
) -> None:
    rows, settings = 400, {"in_flight": 3, "timeout_s": 0.25}
    options = ("--slots", 3, "--latency", 0.015, *faults)
    needed = rows
    if faults:
        undisturbed = stub(*options)
        told = Run(undisturbed, tmp_path / "undisturbed", rows, **settings).end()
        assert told["right"] == rows
        needed = undisturbed.requests
        assert 1.05 * rows < needed < 1.2 * rows
    disturbed = stub(*options)
    first = Run(disturbed, tmp_path / "killed", rows, **settings)
    wait_for(disturbed, needed // 2)
    first.kill()
    told = Run(disturbed, tmp_path / "killed", rows, **settings).end()
    assert told["right"] == told["rows"] == rows
    assert rows * 0.4 < told["cached"] < rows * 0.6
    print(f"requests after a kill: {disturbed.requests} for {needed}")
    assert disturbed.requests <= 1.01 * needed


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back(stub: Callable[..., Stub], tmp_path: Path) -> None:
    rows = 600
    server = stub("--slots", 4, "--latency", 0.015)
    run = Run(server, tmp_path / "run", rows, in_flight=4)
    wait_for(server, rows // 2)
    server.kill()
    time.sleep(1)
    server.start()
    told = run.end()
    assert told["right"] == told["rows"] == rows
    assert told["quarantined"] == 0
    print(f"requests with a dying server: {server.requests} for {rows}")
    assert server.requests <= 1.01 * rows


@pytest.mark.slow
def test_load_goes_where_it_is_taken(stub: Callable[..., Stub], tmp_path: Path) -> None:
    quick, stuck = stub("--slots", 4, "--latency", 0.02), stub("--slots", 4, "--latency", 3_600)
    urls = [quick.url, stuck.url]
    run = Run(quick, tmp_path / "run", 400, base_urls=urls, in_flight=4)
    wait_for(quick, 100)
    assert 0 < stuck.requests <= 4  # its places are taken, so that all else went to the other
    stuck.kill()
    told = run.end()
    assert told["right"] == 400
    assert stuck.requests <= 4
