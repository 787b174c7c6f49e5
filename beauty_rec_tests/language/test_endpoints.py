"""Servers that refuse for a while: how long nothing is sent to them."""

from types import SimpleNamespace

import pytest

from beauty_rec.language import endpoints
from beauty_rec.language.endpoints import Endpoints


def test_a_burst_of_refusals_is_one_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(endpoints, "time", SimpleNamespace(monotonic=lambda: clock.now))
    servers = Endpoints(["http://127.0.0.1:1/v1"], {}, 128, patience_s=1e9)
    server = servers.all[0]

    def paused_s(refusals: int) -> float:
        for _ in range(refusals):
            servers.pause(server, None, "too many")
        wait_s = server.paused_until - clock.now
        clock.now = server.paused_until
        return wait_s

    assert 1 <= paused_s(128) <= 2
    assert 2 <= paused_s(128) <= 4
    waits = [paused_s(1) for _ in range(2_000)]
    assert 4 <= waits[0] <= 8
    assert all(30 <= wait <= 60 for wait in waits[10:])
    servers.worked(server)
    assert 1 <= paused_s(2_000) <= 2


def test_a_server_that_asks_for_no_time_is_not_asked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`Retry-After: 0`, or a date that the clock here has passed: it would be asked without end."""
    monkeypatch.setattr(endpoints, "time", SimpleNamespace(monotonic=lambda: 100.0))
    servers = Endpoints(["http://127.0.0.1:1/v1"], {}, 1, patience_s=1e9)
    servers.pause(servers.all[0], 0.0, "too many")
    assert servers.all[0].paused_until >= 101
    servers.pause(servers.all[0], 0.2, "too many")  # a time that is asked for is kept to
    assert servers.all[0].paused_until <= 102
