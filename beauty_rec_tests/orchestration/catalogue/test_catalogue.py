"""What the UI shows of assets: groups, kinds, checks, columns, retries, freshness."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from beauty_rec.evaluation.block import with_reranker
from beauty_rec.orchestration.catalogue.columns import (
    COLUMNS,
    LISTS,
    SAME_AS,
    column_metadata,
    columns_of,
)
from beauty_rec.orchestration.catalogue.list_columns import SCORES
from beauty_rec.orchestration.catalogue.markdown import markdown_table
from beauty_rec.orchestration.code_location import CHECKS, STAGES, build_definitions
from beauty_rec.recommender.offline.ordering import ordered_lists
from beauty_rec.recommender.orders import Orders
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.settings import Settings
from beauty_rec_tests.recommender.drawn_lists import drawn_lists

ROOT = Path(__file__).parents[3]
BLOCKING = {
    "raw_reviews": {"few_refused_rows", "each_event_once"},
    "raw_items": {"few_refused_rows", "each_item_once"},
    "user_profiles": {"few_refused_rows", "each_user_once"},
    "split_reviews": {"splits_in_time"},
    "item_attributes": {"each_item_once"},
    "merged_items": {"each_item_once", "no_empty_text"},
    "training_pairs": {"no_empty_query"},
    "base_embeddings": {"unit_vectors"},
    "item_embeddings": {"unit_vectors", "not_collapsed"},
    "item_tower": {"learned"},
    "item_vectors": {"unit_vectors", "not_collapsed"},
    "text_index": {"holds_and_finds_every_item"},
    "item_index": {"holds_and_finds_every_item"},
}
SERVED = {"text_index", "item_index", "lexical_index", "serving_manifest"}
GPU = {
    *("base_embeddings", "text_retriever", "item_embeddings", "item_tower", "item_vectors"),
    *("past_items", "user_tower", "user_candidates", "retrieval_candidates", "reranker"),
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(Settings(data_dir=tmp_path_factory.mktemp("data")))


def test_checks_block_where_what_follows_would_be_wrong() -> None:
    specs = [spec for check in CHECKS for spec in check.check_specs]
    found: dict[str, set[str]] = {}
    for spec in specs:
        if spec.blocking:
            found.setdefault(spec.asset_key.to_user_string(), set()).add(spec.name)
        assert spec.description, spec
    assert found == BLOCKING
    warned = {spec.asset_key.to_user_string() for spec in specs if not spec.blocking}
    assert {"keywords", "retrieval_metrics", "ranking_metrics", "recommendations"} <= warned


def test_assets_say_what_they_are(definitions: dg.Definitions) -> None:
    for asset in definitions.assets or ():
        if isinstance(asset, dg.AssetsDefinition):
            spec = asset.get_asset_spec(asset.key)
            assert spec.description, asset.key
            assert spec.group_name, asset.key
            assert spec.kinds, asset.key
            assert spec.owners, asset.key


def test_what_is_served_has_to_be_fresh_and_nothing_else(tmp_path: Path) -> None:
    checks = {"served_warn_hours": 1, "served_fail_hours": 2}
    definitions = build_definitions(Settings(data_dir=tmp_path, checks=checks))
    hours: dict[str, float] = {}
    for asset in definitions.assets or ():
        if isinstance(asset, dg.AssetsDefinition):
            policy: Any = asset.get_asset_spec(asset.key).freshness_policy
            if policy is not None:
                seconds = policy.fail_window.to_timedelta().total_seconds()
                hours[asset.key.to_user_string()] = seconds / 3600
    assert hours == dict.fromkeys(SERVED, 2)


@pytest.mark.parametrize("url", [None, "https://docs.example.com/shop/"])
def test_every_asset_leads_to_its_description(url: str | None, tmp_path: Path) -> None:
    graph = build_definitions(Settings(data_dir=tmp_path, docs_url=url)).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        link = graph.get(key).metadata["docs"].value
        if url is None or key not in graph.materializable_asset_keys:
            page, _, anchor = link.partition("#")
            title = f"## {anchor.replace('-', ' ').capitalize()}"
            assert title in (ROOT / page).read_text(encoding="utf-8").splitlines()
        else:
            assert link == "https://docs.example.com/shop/architecture.html#the-graph"


def test_steps_that_fill_a_gpu_share_a_pool(definitions: dg.Definitions) -> None:
    pools = {a.key.to_user_string() for a in STAGES if a.op.pool == "gpu"}
    assert pools == GPU | {"keywords", "item_attributes"}  # these may start a language model
    lent = {a.key.to_user_string() for a in STAGES if "gpu" in a.op.required_resource_keys}
    assert lent == GPU


def test_steps_at_servers_are_tried_again(definitions: dg.Definitions) -> None:
    tried = {a.key.to_user_string() for a in STAGES if a.op.retry_policy is not None}
    assert tried >= {"text_index", "item_index", "retrieval_candidates"}


def test_lineage_names_assets_and_columns_that_exist(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for asset in (*COLUMNS, *LISTS):
        columns = columns_of(asset)
        ancestors = graph.get_ancestor_asset_keys(dg.AssetKey(asset))
        metadata = column_metadata(asset, dict.fromkeys(columns, pl.String()))
        lineage: Any = metadata.get("dagster/column_lineage")
        for column, sources in lineage.deps_by_column.items() if lineage else ():
            for source in sources:
                assert source.asset_key in ancestors, (asset, column, source)
                parent = source.asset_key.to_user_string()
                parent = SAME_AS.get(parent, parent) if parent in SAME_AS else parent
                known = columns_of(parent)
                if known and not parent.endswith("_file"):
                    assert source.column_name in known, (asset, column, source)


def test_the_columns_of_lists_are_those_of_their_frames() -> None:
    assert set(SCORES) == set(SOURCES)
    lists = drawn_lists(3, 4, 1)
    assert list(columns_of("user_candidates")) == [*lists.frame().columns, "events"]
    hits, said = np.zeros(len(lists.ask), bool), np.full(len(lists.ask), 0.5, np.float32)
    hits[0] = True
    ordered = ordered_lists(lists, ["text"] * 3, hits, Orders.plain(), {}, 5, {})
    found = with_reranker(ordered, hits, said).columns
    assert set(columns_of("recommendations")) == set(found)


def test_a_preview_is_a_table_that_a_page_can_hold() -> None:
    frame = pl.DataFrame({"text": ["a|b\nc" + "x" * 200], "n": [1 / 3], "list": [["p", "q"]]})
    lines = markdown_table(frame).splitlines()
    assert lines[1] == "|:--|--:|:--|"
    cells = lines[2].replace("\\|", "").split("|")[1:-1]
    assert len(cells) == 3
    assert len(cells[0].strip()) <= 80
    assert [cell.strip() for cell in cells[1:]] == ["0.3333", "p, q"]
