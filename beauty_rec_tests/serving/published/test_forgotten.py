"""The newest set has a forgotten user, and no night that is published: it is published without."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from beauty_rec.corpus.forgotten import Forgotten, Mark, digest_of
from beauty_rec.corpus.forgotten_record import read_record
from beauty_rec.recommender.online.experiments.file import AnswerSettings
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.sets.parts import EVENTS, PROFILES, SAMPLES
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.published import publishing
from beauty_rec.serving.published.kept import keep_manifest
from beauty_rec.serving.published.manifest import read_manifest, set_folder
from beauty_rec.serving.published.release import promote, read_release, rollback, served
from beauty_rec.serving.state import forgetting
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.forgetting import drop_sets
from beauty_rec.settings import Settings
from beauty_rec_tests.orchestration.test_shop_input import traces
from beauty_rec_tests.recommender.served_set import USER
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic

STAYS = "AUSER" + "1".zfill(20)


def forget(*users: str) -> Forgotten:
    salt = b"0" * 16
    return Forgotten.of(Mark(salt, digest_of(salt, user), 4_000_000_000_000) for user in users)


@pytest.fixture
def shop(encoder: TextEncoder) -> Iterator[Settings]:
    """A folder of two sets, of which both know the user."""
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-forgotten-"))
    for seed in (71, 72):
        publish_synthetic(folder, Size(60, 400, 40, seed), encoder, encode=False)
    shutil.rmtree(folder / "synthetic")
    yield Settings(data_dir=folder)
    shutil.rmtree(folder, ignore_errors=True)


def test_it_is_published_anew_without_the_user(shop: Settings) -> None:
    root = shop.data_dir / "serving"
    before = read_manifest(root)
    assert drop_sets(shop, forget("somebody else")) == []
    with Engine.open(shop) as engine:
        assert engine.shop.past(USER, None)
        assert before.set in drop_sets(shop, forget(USER))
        after = read_manifest(root)
        assert engine.look()  # as to any other set
        assert engine.shop.manifest.set == after.set != before.set
        assert engine.shop.past(USER, None) is None
        assert engine.recommend([RecommendRequest(user_id=STAYS, k=5)])[0]["items"]
    assert traces(root, USER) == []
    assert traces(root, STAYS)
    assert [path.name for path in (root / "versions").iterdir()] == [after.set]
    set_folder(root, after)  # whole
    # Nothing else of it is another one; who looks for a stale set sees the old date.
    personal = {EVENTS, PROFILES, SAMPLES}
    kept = before.model_dump(exclude={"set", "parts"})
    assert after.model_dump(exclude={"set", "parts"}) == kept
    assert {n for n in before.parts if before.parts[n] != after.parts[n]} <= personal
    (entry,) = read_record(shop.data_dir).values()
    assert f"set {before.set}" in entry["dropped"]
    assert drop_sets(shop, forget(USER)) == []
    assert read_manifest(root) == after


def test_a_promotion_stays(shop: Settings) -> None:
    root = shop.data_dir / "serving"
    newest = read_manifest(root).set
    (other,) = {path.name for path in (root / "versions").iterdir()} - {newest}
    promote(root, other, AnswerSettings(order="popular"), "it sells more")
    drop_sets(shop, forget(USER))
    now = served(root)
    assert (now.manifest.set, now.settings.order) == (other, "popular")
    release = read_release(root)
    assert release is not None
    assert release.newest == release.before == read_manifest(root).set != newest
    assert traces(root, USER) == []
    set_folder(root, now.manifest)


def test_a_kill_between_two_names_ends_no_rollback(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shop.data_dir / "serving"
    newest = read_manifest(root).set
    other = rollback(root).set
    monkeypatch.setattr(publishing, "end_rename", killed)
    with pytest.raises(KeyboardInterrupt):
        drop_sets(shop, forget(USER))
    monkeypatch.undo()
    assert read_manifest(root).set != newest
    assert served(root).manifest.set == other
    drop_sets(shop, forget(USER))
    assert served(root).manifest.set == other
    release = read_release(root)
    assert release is not None
    assert release.newest == release.before == read_manifest(root).set
    assert release.renamed is None
    assert traces(root, USER) == []


def test_a_kill_while_a_set_is_cleared_is_made_good(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shop.data_dir / "serving"
    other = rollback(root, pin=True).set

    def is_last(*given: Any) -> None:
        keep_manifest(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(forgetting, "keep_manifest", is_last)
    with pytest.raises(KeyboardInterrupt):
        drop_sets(shop, forget(USER))
    monkeypatch.undo()
    drop_sets(shop, forget(USER))
    now = served(root).manifest
    assert now.set == other
    set_folder(root, now)  # whole
    assert traces(root, USER) == []


def killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_damaged_set_is_left_to_the_next_run(shop: Settings) -> None:
    root = shop.data_dir / "serving"
    before = read_manifest(root)
    (root / "versions" / before.set / EVENTS).write_bytes(b"damaged")
    assert before.set not in drop_sets(shop, forget(USER))
    assert read_manifest(root) == before


def test_nobody_is_left(shop: Settings) -> None:
    root = shop.data_dir / "serving"
    users = pl.read_parquet(set_folder(root, read_manifest(root)) / EVENTS)["user_id"]
    drop_sets(shop, forget(*users.unique()))
    with Engine.open(shop) as engine:
        assert engine.recommend([RecommendRequest(user_id=USER, k=5)])[0]["items"]
