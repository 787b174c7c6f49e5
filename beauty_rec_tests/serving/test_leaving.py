"""A user is forgotten while answers are on their way: none is kept as the user's afterwards."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.database import Store
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.experiment import commands
from beauty_rec_tests.serving.experiment.test_over_http import client, running, start, until
from beauty_rec_tests.serving.experiment.two_sets import TwoSets, sets, shop

__all__ = ["client", "sets", "shop"]
Ask = Callable[[TestClient, str], Any]


def by_recommend(client: TestClient, user: str) -> Any:
    return client.post("/v1/recommend", json={"user_id": user, "k": 3}).json()


def by_batch(client: TestClient, user: str) -> Any:
    asked = {"user_ids": ["somebody else", user], "k": 3}
    return client.post("/v1/recommend/batch", json=asked).json()["answers"][1]


def by_feed(client: TestClient, user: str) -> Any:
    return client.get("/v1/feeds/trending", params={"user_id": user}).json()


def buy(client: TestClient, shop: Engine, user: str) -> None:
    event = {"user_id": user, "parent_asin": shop.shop.space.ids[3]}
    assert client.post("/v1/events", json=event).status_code == 200


def forget(client: TestClient, user: str) -> None:
    assert client.delete(f"/v1/users/{user}").json()["erased"] is True


def kept(shop: Engine, column: str, value: str) -> list[tuple[Any, ...]]:
    """The user and kind of impressions."""
    return shop.store.read(
        f"SELECT user_id, kind FROM serving_impressions WHERE {column} = %s", [value]
    )


def all_is_written(client: TestClient, shop: Engine, kind: str = "recommend") -> None:
    """Wait until the last answer is kept: what was answered before it is written first."""
    column, asked = "shadow_of" if kind == "shadow" else "recommendation_id", list[str]()

    def is_kept() -> bool:
        # Each time another one, as a shadow may be dropped.
        asked.append(by_recommend(client, "asks last")["recommendation_id"])
        return any(kept(shop, column, name) for name in asked)

    until(is_kept)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """What is done once after a deletion, while the user is still known to the server."""
    to_do: list[Callable[[], Any]] = []
    delete = Store.forget

    def deleting(self: Store, *given: Any) -> Any:
        mark = delete(self, *given)
        while to_do:
            to_do.pop()()
        return mark

    monkeypatch.setattr(Store, "forget", deleting)
    return to_do


@pytest.mark.parametrize("ask", [by_recommend, by_batch, by_feed])
def test_an_answer_noted_during_the_deletion_is_not_kept(
    client: TestClient, shop: Engine, between: list[Callable[[], Any]], ask: Ask
) -> None:
    user, answers = f"leaves {ask.__name__}", list[Any]()
    buy(client, shop, user)
    between.append(lambda: answers.append(ask(client, user)))
    forget(client, user)
    all_is_written(client, shop)
    [answer] = answers
    assert kept(shop, "user_id", user) == []
    assert kept(shop, "recommendation_id", answer["recommendation_id"]) == []


@pytest.mark.parametrize("ask", [by_recommend, by_batch])
def test_an_answer_begun_before_and_noted_after_is_nobodys(
    client: TestClient, shop: Engine, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    user, recommend = f"left {ask.__name__}", shop.recommend
    buy(client, shop, user)

    def answer_late(requests: Any) -> Any:
        found = recommend(requests)
        monkeypatch.undo()
        forget(client, user)
        return found

    monkeypatch.setattr(shop, "recommend", answer_late)
    answer = ask(client, user)
    assert answer["notes"] == []  # the user was known to it
    all_is_written(client, shop)
    [(nobody, _)] = kept(shop, "recommendation_id", answer["recommendation_id"])
    assert nobody is None
    assert kept(shop, "user_id", user) == []


def test_who_comes_back_while_the_files_are_cleaned_is_kept(
    client: TestClient, shop: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, scrubbed = "is back", shop._scrubbed
    buy(client, shop, user)

    def come_back() -> bool:
        buy(client, shop, user)
        by_recommend(client, user)
        return scrubbed()

    monkeypatch.setattr(shop, "_scrubbed", come_back)
    forget(client, user)
    all_is_written(client, shop)
    assert kept(shop, "user_id", user) == [(user, "recommend")]


def test_the_shadow_of_such_an_answer_is_not_kept(
    client: TestClient,
    shop: Engine,
    sets: TwoSets,
    between: list[Callable[[], Any]],
    tmp_path: Path,
) -> None:
    shadow = '[variants.all]\nshare = 1\n[shadow]\nname = "dark"\norder = "popular"\n'
    start(sets, tmp_path, f'name = "leaving"\n{shadow}')
    running(client, "leaving")
    try:
        buy(client, shop, "leaves the dark")
        between.append(lambda: by_recommend(client, "leaves the dark"))
        forget(client, "leaves the dark")
        all_is_written(client, shop, "shadow")
        assert kept(shop, "user_id", "leaves the dark") == []
    finally:
        commands.stop(sets.settings)
        running(client, None)


def test_who_asks_all_the_time_leaves_no_row(client: TestClient, shop: Engine) -> None:
    users = [f"hurries {number}" for number in range(4)]
    for user in users:
        forget_while_asking(client, shop, user)
    all_is_written(client, shop)
    assert [kept(shop, "user_id", user) for user in users] == [[]] * len(users)


def forget_while_asking(client: TestClient, shop: Engine, user: str) -> None:
    buy(client, shop, user)
    left = threading.Event()

    def ask() -> None:
        while not left.wait(0.01):
            by_recommend(client, user)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        until(lambda: kept(shop, "user_id", user) != [])
        forget(client, user)
    finally:
        left.set()
        thread.join()


def test_before_the_store_is_read_an_answer_is_nobodys(
    client: TestClient, shop: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was forgotten since the last run is not known yet."""
    user = "may have left"
    buy(client, shop, user)
    monkeypatch.setattr(shop, "_restored", False)
    answer = by_recommend(client, user)
    monkeypatch.undo()
    all_is_written(client, shop)
    assert kept(shop, "recommendation_id", answer["recommendation_id"]) == [(None, "recommend")]


def test_a_deletion_holds_where_the_database_goes_away_after_it(
    client: TestClient, shop: Engine, between: list[Callable[[], Any]]
) -> None:
    user = "deleted just in time"
    buy(client, shop, user)

    def lose() -> None:
        with pytest.raises(DatabaseDown):
            shop.store.read("SELECT pg_terminate_backend(pg_backend_pid())")

    between.append(lose)
    assert client.delete(f"/v1/users/{user}").json()["events"] == 1
    assert shop.shop.past(user, None) is None
    assert shop.is_nobody(user)
    until(lambda: shop.store.healthy)
    assert shop.store.forgotten().at(user) is not None


def test_a_deletion_that_fails_leaves_nothing_to_be_written_of_the_user(
    client: TestClient, shop: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, delete = "deleted without a word", Store.forget

    def unconfirmed(self: Store, *given: Any) -> Any:
        by_recommend(client, user)
        delete(self, *given)
        raise DatabaseDown("the database went away")

    monkeypatch.setattr(Store, "forget", unconfirmed)
    assert client.delete(f"/v1/users/{user}").status_code == 503
    all_is_written(client, shop)
    assert kept(shop, "user_id", user) == []
