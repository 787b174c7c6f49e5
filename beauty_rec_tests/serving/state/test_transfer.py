"""What was given goes from store to store, and nothing of who was forgotten comes back by it."""

import time
from pathlib import Path

import pytest

from beauty_rec.recommender.online.people import Past
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec.serving.state.shown.tables import INSERT
from beauty_rec.serving.state.transfer import export_given, import_given
from beauty_rec.settings import Settings

BEFORE = GivenEvent("ann", Past("N1", 4.0, 1_700_000_000_000))
OTHERS = GivenEvent("bob", Past("N1", 4.0, 1_700_000_000_000))


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder / "one")


def opened(settings: Settings) -> Store:
    store = Store(settings.data_dir / STORE, None)
    store.open()
    return store


@pytest.mark.slow
def test_an_old_export_and_a_newer_one_bring_back_nothing_of_before(settings: Settings) -> None:
    store = opened(settings)
    store.put_events([BEFORE, OTHERS])
    old = list(export_given(settings))
    mark, events = store.forget("ann")
    assert events == 1
    after = GivenEvent("ann", Past("N2", 5.0, mark.at_ms + 1))
    store.put_events([after])
    new = list(export_given(settings))
    assert import_given(settings, old) == (0, 1)  # that of bob
    assert list(store.given_events()) == [OTHERS, after]
    store.close()

    other = settings.model_copy(update={"data_dir": settings.data_dir.parent / "two"})
    assert import_given(other, old) == (0, 2)
    store = opened(other)
    shown = ("an answer", mark.at_ms, "ann", "recommend", "a set", "default", "fused", ["N1"],
             ["popular"], None, None, None, 9)  # fmt: skip
    store.change((INSERT, [shown]))
    assert import_given(other, new) == (0, 2)
    assert list(store.given_events()) == [OTHERS, after]
    assert store.read("SELECT user_id FROM serving_impressions") == []
    assert import_given(other, new) == (0, 2)
    store.close()
    assert sorted(export_given(other)) == sorted(new)


def test_a_mark_covers_what_is_dated_ahead_of_the_clock(settings: Settings) -> None:
    store = opened(settings)
    ahead = int(time.time() * 1000) + 3_600_000
    store.put_events([GivenEvent("ann", Past("N1", 4.0, ahead))])
    mark, _ = store.forget("ann")
    assert mark.at_ms == ahead
    mark, _ = store.forget("ann", ahead + 1)  # as a served set knows
    assert mark.at_ms == ahead + 1
    assert store.forgotten().at("ann") == ahead + 1
    store.close()
