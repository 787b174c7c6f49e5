"""What came over the API is an input of the graph, and who is forgotten is left out of it."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from beauty_rec.artifacts import content_hash
from beauty_rec.corpus.forgotten_record import read_record
from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.refresh.folder import Request, folder_refresh
from beauty_rec.orchestration.refresh.staleness import Look
from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.published.manifest import read_manifest
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec.settings import CorpusSettings, Settings
from beauty_rec_tests.recommender.served_set import USER, encoder
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic

__all__ = ["encoder"]

RAW = "raw_reviews,raw_items,user_profiles"
LATER = 1_700_000_000_000


class Shop:
    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        reviews: list[dict[str, object]] = [
            {"user_id": f"USER{n % 7}", "parent_asin": f"B{n % 9}", "rating": 4.0,
             "timestamp": 1_600_000_000_000 + n, "text": "a soap"}
            for n in range(60)
        ]  # fmt: skip
        reviews.append({**reviews[3], "rating": 9.0})  # refused, and named in the quarantine
        items: list[dict[str, object]] = [
            {"parent_asin": f"B{n}", "title": f"Soap {n}", "price": 3.0, "average_rating": 4.5}
            for n in range(9)
        ]
        people: list[dict[str, object]] = [
            {"user_id": f"USER{n}", "height_cm": 160 + n} for n in range(7)
        ]
        self.settings = Settings(
            data_dir=folder / "data",
            reviews=self._write("reviews", reviews),
            items=self._write("items", items),
            profiles=self._write("profiles", people),
        )

    def _write(self, name: str, rows: list[dict[str, object]]) -> Path:
        path = self.folder / f"{name}.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return path

    def run(self, select: str = RAW) -> set[str]:
        """The names of what was built."""
        definitions, data = build_definitions(self.settings), self.settings.data_dir
        request = Request(select)
        with folder_refresh(definitions, self.instance, data, request) as results:
            found = {str(result.step): result for result in results}
        assert not [r.reason for r in found.values() if r.status == "failed"]
        return {name for name, result in found.items() if result.status == "built"}

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.settings.data_dir / "processed" / f"{name}.parquet")

    def hashes(self) -> list[str]:
        folder = self.settings.data_dir / "processed"
        return [content_hash(folder / f"{name}.parquet") for name in RAW.split(",")]

    def store(self) -> Store:
        store = Store(self.settings.data_dir / STORE, None)
        store.open()
        return store


@pytest.fixture
def shop() -> Iterator[Shop]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-input-"))
    with dg.instance_for_test() as instance:
        yield Shop(folder, instance)
    shutil.rmtree(folder, ignore_errors=True)


def test_what_was_given_is_learned_from_and_who_is_forgotten_is_not(shop: Shop) -> None:
    assert len(shop.run()) == 3
    before = shop.hashes()
    store = shop.store()
    assert shop.run() == set()  # nothing was given
    store.put_events([GivenEvent("USER3", Past("B1", 2.0, LATER))])
    store.put_events([GivenEvent("A NEW USER", Past("B1", 5.0, LATER + 1))])
    store.put_events(
        [GivenEvent("USER0", Past("B0", 1.0, 1_600_000_000_000))]
    )  # the file's own, which has a text
    store.put_items([NewItem(parent_asin="B1", title="A better soap", description="It lathers.")])
    store.put_states({"B2": ItemState(price=9.5), "B1": ItemState(hidden=True)})
    assert shop.run() == {"raw_reviews", "raw_items"}
    assert not list((shop.settings.data_dir / ".drafts").glob("*"))
    reviews = shop.table("raw_reviews")
    assert reviews.height == 62
    assert reviews.tail(2)["user_id"].to_list() == ["USER3", "A NEW USER"]
    assert reviews["rating"].min() == 2.0
    items = {row["parent_asin"]: row for row in shop.table("raw_items").iter_rows(named=True)}
    assert (items["B1"]["title"], items["B1"]["average_rating"]) == ("A better soap", 4.5)
    assert (items["B2"]["price"], items["B2"]["title"]) == (9.5, "Soap 2")
    assert shop.run() == set()

    store.forget("USER3")
    store.scrub()
    assert shop.run() == {"raw_reviews", "user_profiles"}
    assert set(shop.table("raw_reviews")["user_id"]) == {f"USER{n}" for n in (0, 1, 2, 4, 5, 6)} | {
        "A NEW USER"
    }
    assert "USER3" not in set(shop.table("user_profiles")["user_id"])
    assert traces(shop.settings.data_dir, "USER3") == []
    (entry,) = read_record(shop.settings.data_dir).values()
    assert {where: found["rows"] for where, found in entry["dropped"].items()} == {
        "raw_reviews": 9,
        "user_profiles": 1,
    }
    # Who comes back begins anew: what is done from now on is learned from, nothing of before.
    now = int(time.time() * 1000)
    store.put_events([GivenEvent("USER3", Past("B5", 3.0, LATER))])
    store.put_events([GivenEvent("USER3", Past("B4", 3.0, now + 1))])
    assert shop.run() == {"raw_reviews"}
    assert shop.table("raw_reviews").filter(user_id="USER3")["parent_asin"].to_list() == ["B4"]
    store.close()
    assert before != shop.hashes()


@pytest.mark.slow
def test_a_row_dated_ahead_of_the_clock_does_not_outlive_its_user(shop: Shop) -> None:
    today = int(time.time() * 1000) + 3_600_000
    row = {"user_id": "USER3", "parent_asin": "B1", "rating": 5.0, "timestamp": today}
    assert shop.settings.reviews is not None
    with shop.settings.reviews.open("a") as file:
        file.write(f"{json.dumps(row)}\n")
    shop.run()
    assert shop.table("raw_reviews").filter(user_id="USER3").height == 10
    store = shop.store()
    store.forget("USER3")
    store.close()
    assert shop.run() == {"raw_reviews", "user_profiles"}
    assert "USER3" not in set(shop.table("raw_reviews")["user_id"])


@pytest.mark.slow
def test_a_file_that_is_named_no_more_leaves_no_refused_rows(shop: Shop) -> None:
    for kind in ("items", "profiles"):
        with (shop.folder / f"{kind}.jsonl").open("a") as opened:
            opened.write('{"user_id": "USER3", "parent_asin": \n')
    shop.settings = shop.settings.model_copy(
        update={"corpus": CorpusSettings(max_refused_share=0.5)}
    )
    shop.run()
    quarantine = shop.settings.data_dir / "processed" / "quarantine"
    named = {"items.parquet", "profiles.parquet", "reviews.parquet"}
    assert {path.name for path in quarantine.iterdir()} == named
    shop.settings = shop.settings.model_copy(update={"items": None, "profiles": None})
    assert shop.run() == {"raw_items", "user_profiles"}
    assert [path.name for path in quarantine.iterdir()] == ["reviews.parquet"]
    assert shop.run() == set()


@pytest.mark.slow
def test_without_given_data_nothing_differs(shop: Shop) -> None:
    shop.run()
    before = shop.hashes()
    store = shop.store()
    store.put_events([GivenEvent("USER3", Past("B1", 2.0, LATER))])
    shop.run()
    assert shop.hashes() != before
    store.drop_events("USER3", None, None)
    shop.run()
    assert shop.hashes()[1:] == before[1:]
    assert shop.hashes()[0] == before[0]
    assert not (shop.settings.data_dir / "raw" / "shop" / "events.jsonl").exists()
    store.close()


@pytest.mark.slow
def test_one_more_refused_row_makes_another_report_and_nothing_else(shop: Shop) -> None:
    graph = build_definitions(shop.settings).resolve_asset_graph()

    def read() -> list[str]:
        look = Look(shop.instance, graph)
        return [look.fingerprint(dg.AssetKey(n)) for n in ("split_reviews", "evaluation_report")]

    select = f"{RAW},split_reviews"
    assert len(shop.run(select)) == 4
    before = read()
    with shop.folder.joinpath("reviews.jsonl").open("a") as reviews:
        reviews.write(json.dumps({"user_id": "USER1", "parent_asin": "B1", "rating": 9.0}) + "\n")
    assert shop.run(select) == {"raw_reviews"}
    after = read()
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.slow
def test_a_night_that_publishes_nothing_takes_who_is_forgotten_out_of_the_set_of_before(
    shop: Shop, encoder: TextEncoder
) -> None:
    data = shop.settings.data_dir
    before = publish_synthetic(data, Size(60, 400, 40), encoder, encode=False)
    shutil.rmtree(data / "synthetic")
    lists = pl.DataFrame({"user_id": [USER, "AUSER1"], "parent_asin": ["B1", "B2"]})
    for path in ("processed/user_lists.parquet", "cache/user_lists/killed/0.parquet"):
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        lists.write_parquet(data / path)
    store = shop.store()
    store.forget(USER)
    store.scrub()
    store.close()
    assert shop.run() == set(RAW.split(","))
    assert traces(data, USER) == []
    assert read_manifest(data / "serving").set != before.set
    assert shop.table("user_lists")["user_id"].to_list() == ["AUSER1"]
    (entry,) = read_record(data).values()
    assert entry["dropped"]["user_lists"]["rows"] == 1


def traces(folder: Path, text: str) -> list[str]:
    """Files that hold a text: as bytes, or as a cell of a table."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        is_table = path.suffix == ".parquet"
        rows = pl.read_parquet(path, glob=False).write_ndjson() if is_table else None
        held = text in rows if rows is not None else text.encode() in path.read_bytes()
        if held:
            found.append(str(path.relative_to(folder)))
    return found
