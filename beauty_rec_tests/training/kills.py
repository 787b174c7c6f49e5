"""A training that is killed in a call of one of its functions."""

from types import ModuleType

import pytest


def kill_in_call(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, number: int
) -> list[int]:
    """Let call ``number`` (from 1) of a function raise KeyboardInterrupt, once.

    Returns:
        A list that grows with each call.
    """
    run = getattr(module, name)
    calls: list[int] = []

    def counted(*arguments: object) -> object:
        calls.append(len(calls) + 1)
        if calls[-1] == number:
            raise KeyboardInterrupt
        return run(*arguments)

    monkeypatch.setattr(module, name, counted)
    return calls
