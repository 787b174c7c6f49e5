"""What is served after promotions, rollbacks and publications, and what may be swept."""

import json
import os
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from beauty_rec.recommender.online.experiments.file import AnswerSettings
from beauty_rec.serving.published import manifest as manifests
from beauty_rec.serving.published.kept import EXPERIMENT, MANIFESTS, RELEASE
from beauty_rec.serving.published.manifest import MANIFEST, VERSIONS, known_sets, publish
from beauty_rec.serving.published.release import UnknownSet, promote, rollback, served

BOLD = AnswerSettings(diversity=0.3)


class Shop:
    """A folder of sets that hold next to nothing."""

    def __init__(self, folder: Path) -> None:
        self.root, self._artifact = folder / "serving", folder / "cards"

    def publish(self, text: str) -> str:
        self._artifact.unlink(missing_ok=True)
        self._artifact.write_text(text)
        return publish(self.root, {"cards": self._artifact}, {}, {}, {}).set

    @property
    def serves(self) -> str:
        return served(self.root).manifest.set


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_the_newest_is_served_until_something_else_is_said(shop: Shop) -> None:
    first, second = shop.publish("1"), shop.publish("2")
    before = (shop.root / MANIFEST).read_bytes()
    assert shop.serves == second
    rollback(shop.root)
    assert shop.serves == first
    assert (shop.root / MANIFEST).read_bytes() == before  # no asset becomes stale
    third = shop.publish("3")
    assert shop.serves == third
    rollback(shop.root)  # back to what was served before, not to what was published
    assert shop.serves == first


def test_a_set_that_an_older_program_published_can_be_named(shop: Shop) -> None:
    first = shop.publish("1")
    (shop.root / MANIFESTS / f"{first}.json").unlink()  # it kept none
    promote(shop.root, first, BOLD, "as it is, bolder")
    shop.publish("2")
    rollback(shop.root, first)
    assert shop.serves == first


def test_a_promotion_is_undone_with_its_settings(shop: Shop) -> None:
    first, _ = shop.publish("1"), shop.publish("2")
    promote(shop.root, first, BOLD, "a better one")
    now = served(shop.root)
    assert (now.manifest.set, now.settings, now.why) == (first, BOLD, "a better one")
    third = shop.publish("3")
    now = served(shop.root)
    assert (now.manifest.set, now.settings) == (third, BOLD)  # settings outlive the set
    rollback(shop.root)
    assert (shop.serves, served(shop.root).settings) == (first, BOLD)
    promote(shop.root, None, AnswerSettings(diversity=0.9), "bolder")
    rollback(shop.root)
    assert (shop.serves, served(shop.root).settings) == (first, BOLD)
    rollback(shop.root, "latest")
    assert (shop.serves, served(shop.root).settings) == (third, AnswerSettings())


def test_a_pin_holds_over_publications(shop: Shop) -> None:
    first = shop.publish("1")
    shop.publish("2")
    rollback(shop.root, first, pin=True)
    for text in "345":
        latest = shop.publish(text)
        assert shop.serves == first
    rollback(shop.root, "latest", pin=True)
    assert shop.serves == latest
    shop.publish("6")
    assert shop.serves == latest
    rollback(shop.root, "latest")
    assert shop.serves != latest


def test_a_promotion_that_is_repeated_is_undone_at_once(shop: Shop) -> None:
    first, second = shop.publish("1"), shop.publish("2")
    done = promote(shop.root, first, BOLD, "the better of two")
    assert promote(shop.root, first, BOLD, "the better of two") == done
    rollback(shop.root)
    assert (shop.serves, served(shop.root).settings) == (second, AnswerSettings())
    promote(shop.root, first, BOLD, "the better of two")
    third = shop.publish("3")
    assert promote(shop.root, first, BOLD, "the better of two").before == third


def test_going_back_twice_never_goes_forth(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shop.publish("1")
    (shop.root / EXPERIMENT).write_text(f'set = "{first}"')
    second, third = shop.publish("2"), shop.publish("3")
    assert [rollback(shop.root).set for _ in range(2)] == [second, first]
    assert shop.serves == first != third
    with pytest.raises(UnknownSet, match=f"no set from before {first} is kept"):
        rollback(shop.root)


@pytest.mark.parametrize("named", [True, False])
def test_a_clock_that_went_back_hides_no_set(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    first = shop.publish("1")
    clock_of(monkeypatch, hours=-3)
    second = shop.publish("2")
    if not named:  # an older version published both
        for path in (shop.root / MANIFEST, *(shop.root / MANIFESTS).iterdir()):
            document = json.loads(path.read_text())
            del document["before"]
            path.write_text(json.dumps(document))
    assert [manifest.set for manifest in known_sets(shop.root)] == [second, first]
    assert rollback(shop.root).set == first
    rollback(shop.root, "latest")
    third = shop.publish("3")
    assert {path.name for path in (shop.root / VERSIONS).iterdir()} >= {third, second}
    (shop.root / RELEASE).unlink()
    assert rollback(shop.root).set == second


def test_a_set_that_is_published_again_is_the_newest_once(shop: Shop) -> None:
    first, second = shop.publish("1"), shop.publish("2")
    assert [shop.publish("1"), shop.publish("1")] == [first, first]
    assert [manifest.set for manifest in known_sets(shop.root)] == [first, second]
    assert rollback(shop.root).set == second
    with pytest.raises(UnknownSet, match=f"no set from before {second} is kept"):
        rollback(shop.root)


def clock_of(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Have the clock be so many hours off from now on: what it says, and the times of folders."""
    off, utime = timedelta(hours=hours), os.utime

    class Clock:
        @staticmethod
        def now(zone: tzinfo) -> datetime:
            return datetime.now(zone) + off

    def touch(path: Path) -> None:
        at = time.time() + off.total_seconds()
        utime(path, (at, at))

    monkeypatch.setattr(manifests, "datetime", Clock)
    monkeypatch.setattr(os, "utime", touch)


def test_what_is_named_is_not_swept(shop: Shop) -> None:
    named = shop.publish("named")
    (shop.root / EXPERIMENT).write_text(f"not valid, and names {named} all the same")
    for text in "1234":
        shop.publish(text)
    sets = {path.name for path in (shop.root / VERSIONS).iterdir()}
    assert named in sets
    assert len(sets) == 3
    assert {path.stem for path in (shop.root / MANIFESTS).iterdir()} == sets
    (shop.root / EXPERIMENT).unlink()
    shop.publish("5")
    assert not (shop.root / VERSIONS / named).exists()


def test_unknown_sets_name_the_known(shop: Shop) -> None:
    known = shop.publish("1")
    wrong = known[:-1] + ("0" if known[-1] != "0" else "1")
    with pytest.raises(UnknownSet, match=f"the nearest known: {known}"):
        rollback(shop.root, wrong)
    assert not (shop.root / RELEASE).exists()


def test_a_held_set_that_is_gone_is_not_served(shop: Shop) -> None:
    first, second = shop.publish("1"), shop.publish("2")
    rollback(shop.root)
    (shop.root / MANIFESTS / f"{first}.json").unlink()
    assert shop.serves == second


def test_sets_of_an_older_program_can_be_gone_back_to(shop: Shop) -> None:
    first = shop.publish("1")
    for path in (shop.root / MANIFESTS).iterdir():
        path.unlink()
    shop.publish("2")
    assert rollback(shop.root).set == first
    assert json.loads((shop.root / RELEASE).read_text())["kind"] == "rolled back"
