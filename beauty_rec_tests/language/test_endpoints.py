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
