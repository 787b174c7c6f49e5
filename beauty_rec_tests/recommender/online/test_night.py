"""A set whose items have values that came after its models were trained."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.items.vocabulary import SPECIAL
from beauty_rec.ranking.reranker import Reranker
from beauty_rec.recommender.online.requests import NewItem, RecommendRequest
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.recommender.online.stock.new_items import make_rows
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import Settings
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic

SMALL = Size(items=40, events=300, seed=1)
NEW = ("B010000003", "B010000004", "B010000005")


def _neroli(attributes: pl.DataFrame) -> pl.DataFrame:
    """Three items are of a scent and of a category that no item was of in training."""
    new = pl.col("parent_asin").is_in(NEW)
    return attributes.with_columns(
        scent=pl.when(new).then(pl.lit(["neroli"])).otherwise("scent"),
        category=pl.when(new).then(pl.lit("foot mask")).otherwise("category"),
    )


@pytest.fixture(scope="module")
def engine(encoder: TextEncoder) -> Iterator[Engine]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-night-"))
    publish_synthetic(made, SMALL, encoder, encode=True, night=_neroli)
    with Engine.open(Settings(data_dir=made)) as engine:
        yield engine
    shutil.rmtree(made, ignore_errors=True)


def test_a_new_value_can_be_asked_for(engine: Engine) -> None:
    asked = RecommendRequest(
        filters=Filter.model_validate({"scent": "neroli"}), history=[NEW[0]], context="wedding"
    )
    answer = engine.recommend([asked])[0]
    assert {item["parent_asin"] for item in answer["items"]} == set(NEW[1:])
    assert all(np.isfinite(item["score"]) for item in answer["items"])


def test_every_model_has_rows_for_the_ids_of_the_set(engine: Engine) -> None:
    shop = engine.shop
    vocabulary, reranker = shop.path.builder.vocabulary, shop.models.learned["reranked"]
    assert isinstance(reranker, Reranker)
    assert {"neroli", "foot mask"} <= {entry.value for entry in vocabulary.entries[-2:]}
    assert shop.path.table.sparse.max() < len(vocabulary) == len(reranker.model.table)


def test_an_item_of_a_new_value_that_comes_while_serving_is_read_as_in_the_pipeline(
    engine: Engine,
) -> None:
    said: dict[str, str | list[str]] = {"scent": ["neroli"], "category": "foot mask"}
    items = [
        NewItem(parent_asin="N1", title="A foot mask", attributes=said),
        NewItem(parent_asin="N2", title="A foot mask", attributes={"category": "never heard of"}),
    ]
    with_it, without = make_rows(engine.shop, items, Settings())
    width = engine.shop.path.tower.items.tower
    np.testing.assert_allclose(with_it.vectors[:width], without.vectors[:width], atol=1e-6)
    values = [engine.shop.path.builder.vocabulary.entries[i - len(SPECIAL)].value
              for i in with_it.sparse if i >= len(SPECIAL)]  # fmt: skip
    assert values == ["foot mask", "neroli"]


def test_a_new_item_of_a_domain_without_category_and_brand_has_neither(
    engine: Engine, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\n[std.mood.values]\ncalm = []\n[re.scent.values]\nneroli = []\n')
    facts = {**engine.shop.manifest.facts, "domain": str(own)}
    shop = replace(engine.shop, manifest=engine.shop.manifest.model_copy(update={"facts": facts}))
    items = [NewItem(parent_asin="N1", title="Neroli soap", categories=["Bath"])]
    card = make_rows(shop, items, Settings())[0].card
    assert (card["category"], card["brand"], card["title"]) == (None, None, "Neroli soap")
    assert card["categories"] == ["Bath"]
