"""What is deleted or damaged of a shop is never served, is stale, and is repaired."""

import re
import time
from pathlib import Path

import pytest

from beauty_rec.artifacts import content_hash
from beauty_rec.cli.doctor import examine
from beauty_rec.recommender.online.sets.manifest import ManifestError
from beauty_rec.search.chroma.index import current_version
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.search.pgvector.tables import connect
from beauty_rec.serving.published.manifest import read_manifest
from beauty_rec.serving.state.database import STORE
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import Settings
from beauty_rec_tests.command_line_shop import Shop
from beauty_rec_tests.harm import HARMS, delete, flip_bit, served_table
from beauty_rec_tests.orchestration.refresh.shop_state import artifacts, give, given_is_there

pytestmark = pytest.mark.faults
PARTS = {
    "merged_items": "processed/merged_items.parquet",
    "keywords[valid]": "processed/keywords/valid.parquet",
    "vocabulary": "processed/vocabulary.json",
    "item_embeddings": "processed/item_embeddings",
    "text_retriever": "models/text_retriever",
    "user_tower": "models/user_tower",
    "lexical_index": "processed/lexical_index",
    "item_index": "processed/item_index",
    "raw_reviews": "processed/quarantine/reviews.parquet",
    "text_index": "chromadb/{index}/entries.json",
    "serving_manifest": "serving/versions/{set}/cards.parquet",
    "evaluation_report": "evaluation",
}
"""Of each kind of artifact one, with what its asset is called."""
BUILT = re.compile(r"^build +(\S+) +(.*)$", re.M)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"), tiny_model)
    give(shop.data)  # first: ids of values that come in a later run are put behind the others
    assert set(shop.run().values()) == {"built"}
    return shop


def due(shop: Shop) -> dict[str, str]:
    """Return what a run would build, and why."""
    result = shop.call("run", "--dry-run")
    assert result.exit_code == 0, result.output
    return dict(BUILT.findall(result.output))


def test_a_fresh_shop_is_looked_at_in_seconds(shop: Shop) -> None:
    shop.run()
    began = time.perf_counter()
    assert shop.built() == []
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("harm", HARMS)
def test_every_kind_is_found_named_and_repaired(shop: Shop, harm: str) -> None:
    before = artifacts(shop.data)
    index = current_version(shop.data / "chromadb")
    assert index is not None
    now = {"index": index.version, "set": read_manifest(shop.data / "serving").set}
    parts = {asset: shop.data / path.format(**now) for asset, path in PARTS.items()}
    for path in parts.values():
        HARMS[harm](path)
    reasons = due(shop)
    for asset, path in parts.items():
        assert str(path) in reasons[asset], (asset, reasons)
    findings = [f.text for f in examine(Settings(data_dir=shop.data)) if f.verdict == "fail"]
    assert all(any(asset in text for text in findings) for asset in PARTS), findings
    assert not {s for s in shop.run().values() if s == "failed"}
    assert artifacts(shop.data) == before
    assert due(shop) == {}
    assert given_is_there(shop.data)


@pytest.mark.parametrize("harm", ["truncated", "one bit flipped"])
def test_a_damaged_set_is_not_served(shop: Shop, harm: str) -> None:
    served = read_manifest(shop.data / "serving").set
    HARMS[harm](shop.data / "serving" / "versions" / served)
    with pytest.raises(ManifestError, match=r"versions.*beauty-rec run"):
        Engine(Settings(data_dir=shop.data))
    assert "failed" not in shop.run().values()
    Engine(Settings(data_dir=shop.data))


def test_a_damaged_input_is_not_read_and_the_remedy_mends_it(shop: Shop) -> None:
    flip_bit(shop.data / "processed" / "item_embeddings")
    result = shop.call("run", "--select", "text_index", "--force")
    assert "processed/item_embeddings/vectors.npy is damaged; run: beauty-rec run" in result.output
    assert shop.run()["item_embeddings"] == "built"
    assert due(shop) == {}


@pytest.mark.parametrize("loss", ["table", "rows", "cluster", "page"])
def test_a_lost_table_is_built_anew(shop: Shop, loss: str) -> None:
    folder = shop.data / "postgres"
    with postgres(folder) as dsn, connect(dsn) as connection:
        table, file = served_table(connection)
        if loss == "table":
            connection.execute(f'DROP TABLE "{table}"')
        if loss == "rows":
            connection.execute(f'DELETE FROM "{table}" WHERE random() < 0.5')
    if loss == "cluster":
        delete(folder)
    if loss == "page":
        flip_bit(folder / "cluster" / file)
    assert "item_index" in due(shop)
    statuses = shop.run()
    assert statuses["item_index"] == "built"
    assert "failed" not in statuses.values()
    assert due(shop) == {}
    assert given_is_there(shop.data)


def test_caches_may_be_cut(shop: Shop) -> None:
    before = artifacts(shop.data)
    for number, path in enumerate(sorted((shop.data / "cache").rglob("*"))):
        if path.is_file():
            list(HARMS.values())[1 + number % 2](path)
    (shop.data / "processed" / "word_background.json").write_text('{"reviews": 1')
    selected = "keywords,base_embeddings,item_embeddings,item_vectors,merged_items"
    assert "failed" not in shop.run("--force", "--select", selected).values()
    assert artifacts(shop.data) == before


def test_what_was_given_goes_to_a_file_and_back(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "given.jsonl"
    assert shop.call("export", file).exit_code == 0
    before = content_hash(file)
    delete(shop.data / STORE)
    assert shop.call("import", file).exit_code == 0
    assert given_is_there(shop.data)
    assert shop.call("export", file).exit_code == 0
    assert content_hash(file) == before
    file.write_text('{"item": {"parent_asin": ""}}\n')
    refused = shop.call("import", file)
    assert "line 1: item" in str(refused.exception)
