"""A set is refused when an answer is missing that its items could make, and for no other reason."""

from dataclasses import replace

import numpy as np
import pytest

from beauty_rec.recommender.online.sets import trial
from beauty_rec.recommender.online.sets.manifest import ManifestError
from beauty_rec.recommender.online.sets.trial import try_out
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ServeSettings

SETTINGS = ServeSettings()


@pytest.fixture
def shop(engine: Engine) -> Snapshot:
    """The set, without what other tests gave."""
    return replace(engine._base, since={})


def without_texts(shop: Snapshot) -> Snapshot:
    """The set as if no item had a text."""
    space = shop.space
    none, matrix = np.zeros(len(space), bool), space.matrix.clone()
    matrix[:, space.text_start :] = 0
    bare = replace(space, has_text=none, matrix=matrix)
    return replace(shop, path=replace(shop.path, space=bare, words=ItemWords.build([], [], [])))


def with_state(shop: Snapshot, state: ItemState) -> Snapshot:
    return shop.with_states(dict.fromkeys(shop.space.ids, state))


def test_a_set_that_has_nothing_for_an_answer_is_served(shop: Snapshot) -> None:
    bare = without_texts(shop)
    try_out(shop, SETTINGS)
    try_out(bare, SETTINGS)
    for one in (shop, bare):
        try_out(with_state(one, ItemState(hidden=True)), SETTINGS)
        try_out(with_state(one, ItemState(in_stock=False)), SETTINGS)


def test_an_answer_that_is_missing_is_named(
    shop: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "search", lambda *_: [{"items": []}])
    texts = int(shop.space.has_text.sum())
    with pytest.raises(ManifestError, match=f"answers a search with no item of {texts}"):
        try_out(shop, SETTINGS)
    try_out(without_texts(shop), SETTINGS)
    nothing: list[dict] = [{"items": []}] * 3
    monkeypatch.setattr(trial, "recommend", lambda *_: nothing)
    with pytest.raises(ManifestError, match="answers a request for nothing at all with no item"):
        try_out(without_texts(shop), SETTINGS)
