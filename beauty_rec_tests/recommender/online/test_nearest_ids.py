"""The known id nearest to a mistyped one: it is found, and few are compared for it."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from string import ascii_uppercase, digits
from typing import Any

import pytest

from beauty_rec.recommender.online.feeds.answer import feed
from beauty_rec.recommender.online.feeds.question import FeedQuestion, UnfitFeed
from beauty_rec.recommender.online.requests import NewEvent
from beauty_rec.recommender.online.stock import nearest_ids as module
from beauty_rec.recommender.online.stock.near_names import BESIDE, SortedNames
from beauty_rec.recommender.online.stock.nearest_ids import NearestIds, nearest
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.live_shop import UnknownItem

DRAW = random.Random(5)
IDS = ["B00" + "".join(DRAW.choices(ascii_uppercase + digits, k=7)) for _ in range(5_000)]
KNOWN = SortedNames(IDS)
TYPOS: dict[str, Callable[[str], str]] = {
    "case": str.lower,
    "blank": lambda name: f" {name} ",
    "first": lambda name: f"X{name[1:]}",
    "middle": lambda name: f"{name[:5]}?{name[6:]}",
    "last": lambda name: f"{name[:-1]}?",
    "one more": lambda name: f"{name}x",
    "one less": lambda name: name[:6] + name[7:],
    "turned": lambda name: name[:4] + name[5] + name[4] + name[6:],
}


@pytest.mark.parametrize("typo", TYPOS)
def test_a_mistyped_id_is_known_again(typo: str) -> None:
    for name in IDS[::200]:
        assert nearest(TYPOS[typo](name), [KNOWN]) == name


def test_what_is_like_none_has_no_nearest() -> None:
    assert nearest("nothing of the kind", [KNOWN]) is None
    assert nearest("B00", [SortedNames([])]) is None


def test_few_are_compared_and_a_set_is_put_in_order_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    ordered: list[int] = []
    matches = get_close_matches

    class Counted(SortedNames):
        def __init__(self, names: Sequence[str]) -> None:
            ordered.append(len(names))
            super().__init__(names)

    def counted(name: str, among: Any, n: int) -> list[str]:
        compared.append(len(among))
        return matches(name, among, n)

    monkeypatch.setattr(module, "SortedNames", Counted)
    monkeypatch.setattr(module, "get_close_matches", counted)
    ids, grown = NearestIds(IDS), [*IDS, "GIVEN1"]
    assert ordered == [0]  # nothing, until an id is mistyped
    for _ in range(3):
        assert ids.find(f"{IDS[7]}x", IDS) == IDS[7]
    assert ids.find("GIVEN2", grown) == "GIVEN1"
    assert ids.find(f"{IDS[9]}x", grown) == IDS[9]
    assert ordered == [0, len(IDS), 1]  # of the set once, of the rest when it has grown
    assert max(compared) <= 4 * BESIDE + 1


def test_a_feed_and_a_change_name_the_same_nearest_id(engine: Engine) -> None:
    last = engine.shop.space.ids[-1]
    with pytest.raises(UnfitFeed, match=f"the nearest known one is '{last}'") as refused:
        feed(engine.shop, FeedQuestion("bought-together", parent_asin=f"{last}x"))
    with pytest.raises(UnknownItem) as unknown:
        engine.set_state(f"{last}x", hidden=True)
    assert str(unknown.value) == str(refused.value)


def test_a_mistyped_id_keeps_no_change_waiting(engine: Engine) -> None:
    event = NewEvent(user_id="u", parent_asin="no such item")
    with ThreadPoolExecutor(1) as thread, engine._changing:
        for wrong in (
            thread.submit(engine.set_state, "no such item", hidden=True),
            thread.submit(engine.add_events, [event]),
        ):
            with pytest.raises(UnknownItem):
                wrong.result(timeout=5)
