"""The command line on a small synthetic sample: what is built, what stays, and that nothing leaks.

The real graph, Dagster and ChromaDB; the encoder is tiny and random, so that training is quick.
"""

import gzip
import json
import re
from pathlib import Path
from typing import cast

import dagster as dg
import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors, content_hash
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.refresh.refresh import QUIET
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import Settings
from beauty_rec_tests.command_line_shop import ALL_SPLITS, Shop
from benchmarks.stages import Size, folders, read

MODELS = {"text_retriever", "item_tower", "user_tower", "reranker"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Shop:
    """A shop that was built once."""
    shop = Shop(tmp_path_factory.mktemp("shop"), tiny_model)
    statuses = shop.run()
    assert set(statuses.values()) == {"built"}, statuses
    return shop


def test_the_report_has_its_fixed_keys(shop: Shop) -> None:
    report = json.loads((shop.data / "evaluation" / "report.json").read_text())
    assert set(report) == {
        "dataset",
        "retrieval",
        "retrieval_keywords",
        "recommendation",
        "answer",
        "reranker",
        "indexes",
        "cost",
    }
    assert report["dataset"]["synthetic"] is True
    assert sum(report["dataset"]["split"]["rows"].values()) == report["dataset"]["reviews"]
    for split in ("valid", "test"):
        for method in ("popularity", "bm25", "base_encoder", "text_retriever"):
            block = report["retrieval"][split][method]
            assert block["queries"] > 0
            for metric in (*(f"recall@{k}" for k in (1, 5, 10, 20, 50, 100)), "mrr", "ndcg@10"):
                low, high = block["intervals"][metric]
                assert 0 <= low <= block[metric] + 1e-9
                assert block[metric] <= high + 1e-9
        by_keywords = report["retrieval_keywords"][split]
        assert set(by_keywords) == {"bm25", "base_encoder", "text_retriever"}
        assert len({block["queries"] for block in by_keywords.values()} - {0}) == 1
        for method in ("popularity", "item_cf", "user_tower", "reranked"):
            assert report["recommendation"][split][method]["queries"] > 0
        assert 0 <= report["reranker"][split]["auc"] <= 1
    rows = report["indexes"]["text_index"]["rows"]
    assert rows == pl.read_parquet(shop.data / "processed" / "merged_items.parquet").height
    assert {row["asset"] for row in report["cost"]} >= {"raw_reviews", "text_retriever"}
    assert all(row["seconds"] >= 0 for row in report["cost"])
    assert (shop.data / "evaluation" / "report.md").exists()
    assert list((shop.data / "evaluation").glob("*.png"))


def test_every_row_is_kept_counted_or_quarantined(shop: Shop) -> None:
    refused = pl.read_parquet(shop.data / "processed" / "quarantine" / "reviews.parquet")
    assert refused.columns == ["file", "line", "reason", "excerpt"]
    assert cast(int, refused["excerpt"].str.len_chars().max()) <= 500
    rows = len(gzip.decompress(shop.files.reviews.read_bytes()).splitlines())
    kept = pl.read_parquet(shop.data / "processed" / "raw_reviews.parquet").height
    assert 0 < refused.height < rows - kept + 1


def test_nothing_changed_nothing_built(shop: Shop) -> None:
    assert shop.built() == []


def test_a_touched_file_rebuilds_nothing(shop: Shop) -> None:
    shop.files.reviews.touch()
    assert shop.built() == []


@pytest.mark.slow
def test_a_test_review_leaks_nowhere(shop: Shop) -> None:
    before = shop.train_side()
    review = shop.split_of("test").row(0, named=True)
    shop.edit_text(review, "Zanzibar xylophone serum, for my grandmother at night. Not greasy!")
    built = shop.built()
    assert shop.train_side() == before
    assert sorted(built) == [
        "evaluation_report",
        "keywords[test]",
        "ranking_metrics[test]",
        "raw_reviews",
        "recommendations[test]",
        "retrieval_candidates[test]",
        "retrieval_metrics[test]",
        "serving_manifest",
        "split_reviews",
        "user_candidates[test]",
    ]


@pytest.mark.live
def test_a_valid_review_reaches_the_early_stopping_only(shop: Shop) -> None:
    before = shop.train_side()
    review = shop.split_of("valid").row(0, named=True)
    shop.edit_text(review, "Zanzibar xylophone serum, for my grandmother at night. Not greasy!")
    built = shop.built()
    changed = {name for name, hash_ in shop.train_side().items() if hash_ != before[name]}
    assert changed <= {
        "models/text_retriever",
        "processed/item_embeddings",
        "processed/past_items",
        "processed/retrieval_candidates/train.parquet",
        "processed/user_candidates/train.parquet",
        "models/user_tower",
        "models/reranker",
    }
    assert "text_retriever" in built
    assert not {"merged_items", "training_pairs", "keywords[train]", "keywords[test]"} & set(built)


@pytest.mark.live
def test_a_train_review_rebuilds_what_reads_it(shop: Shop) -> None:
    review = shop.split_of("train").row(-1, named=True)
    shop.edit_text(review, "Zanzibar xylophone serum, for my grandmother at night. Not greasy!")
    built = shop.built()
    assert built[:3] == ["raw_reviews", "split_reviews", "keywords[train]"]
    assert {"merged_items", "training_pairs", "text_retriever", "text_index"} <= set(built)
    assert not {"keywords[valid]", "keywords[test]", "raw_items", "user_profiles"} & set(built)


def test_a_changed_setting_rebuilds_from_there(shop: Shop) -> None:
    shop.settings.append("evaluation.bootstrap_samples=200")
    built = shop.built("--select", "retrieval_metrics")
    assert built == [f"retrieval_metrics[{split}]" for split in ALL_SPLITS]


def test_one_split_is_rebuilt_alone(shop: Shop) -> None:
    statuses = shop.run("--select", "keywords", "--partition", "valid", "--force")
    assert statuses == {"keywords[valid]": "built"}


def test_dry_run_builds_nothing(shop: Shop) -> None:
    before = content_hash(shop.data / "processed")
    result = shop.call("run", "--dry-run", "--set", "fine_tune.learning_rate=0.001")
    assert re.search(r"^build +text_retriever +its code or settings changed$", result.stdout, re.M)
    assert re.search(r"^maybe +text_index +follows item_embeddings$", result.stdout, re.M)
    assert content_hash(shop.data / "processed") == before
    assert shop.built("--select", "text_retriever") == []  # a dry run is not remembered


@pytest.mark.slow
def test_one_split_is_backfilled_without_the_others(shop: Shop) -> None:
    shop.run()
    before = {path: content_hash(path) for path in (shop.data / "models").iterdir()}
    others = {split: shop.facts("user_candidates", split) for split in ("train", "valid")}
    definitions = build_definitions(Settings(data_dir=shop.data))
    job = definitions.resolve_job_def("split_backfill")
    with open_instance(shop.data) as instance:
        done = job.execute_in_process(instance=instance, partition_key="test", run_config=QUIET)
        assert done.success
        events = done.get_asset_materialization_events()
        keys = {cast(dg.AssetKey, event.asset_key).to_user_string() for event in events}
    assert keys == {
        "keywords", "base_embeddings", "retrieval_candidates", "retrieval_metrics",
        "user_candidates", "recommendations", "ranking_metrics",
    }  # fmt: skip
    assert {path: content_hash(path) for path in (shop.data / "models").iterdir()} == before
    assert {split: shop.facts("user_candidates", split) for split in others} == others
    assert shop.built() == []  # equal results: nothing follows


@pytest.mark.slow
def test_a_night_reads_only_what_is_new_and_trains_nothing(shop: Shop) -> None:
    models = {name: content_hash(shop.data / "models" / name) for name in MODELS}
    latest = cast(int, shop.split_of("test")["timestamp"].max())
    known = shop.split_of("train").row(0, named=True)
    titles = ("Zanzibar Xylophone Serum", "Zanzibar Marimba Shampoo")
    shop.append(
        [
            {"parent_asin": f"BNEW00000{n}", "title": title, "store": "Zanzibar House", "price": n}
            for n, title in enumerate(titles, 1)
        ],
        "items",
    )
    ids = Vocabulary.load(shop.data / "processed/vocabulary.json")
    shop.append(
        [
            {
                "user_id": f"NEWUSER{number}",
                "parent_asin": ("BNEW000001", known["parent_asin"])[number % 2],
                "timestamp": latest + 1000 * (1 + number),
                "rating": 5.0,
                "title": "Lovely",
                "text": f"Bought {number + 2} of these for my grandmother, great at night.",
            }
            for number in range(6)
        ]
    )
    night = shop.run("--train", "never")
    assert all(night[name] == "fresh" for name in MODELS)
    assert night["text_index"] == night["item_index"] == night["evaluation_report"] == "built"
    assert {name: content_hash(shop.data / "models" / name) for name in MODELS} == models
    computed = [shop.facts("keywords", split)["rows_computed"] for split in ALL_SPLITS]
    assert sum(computed) == 6
    embedded = shop.facts("item_embeddings")
    assert 0 < embedded["rows_computed"] <= 0.2 * embedded["rows_reused"]
    for asked in ("retrieval_candidates", "user_candidates"):
        queries = shop.facts(asked, "valid")
        assert queries["rows_computed"] <= 0.4 * queries["rows_reused"], queries
    # The new values have ids behind those of before, and rows in the models of before.
    today = Vocabulary.load(shop.data / "processed/vocabulary.json")
    assert [e[:3] for e in today.entries[: len(ids.entries)]] == [e[:3] for e in ids.entries]
    assert "zanzibar" in {e.value.lower() for e in today.entries[len(ids.entries) :]}
    assert shop.facts("item_vectors")["values_since_training"] == len(today) - len(ids) > 0
    vectors = Vectors.load(shop.data / "processed/item_vectors")
    new = vectors.matrix[[vectors.ids.index(f"BNEW00000{n}") for n in (1, 2)]]
    np.testing.assert_allclose(np.linalg.norm(new, axis=1), 1, rtol=1e-4)
    # The new item is in both indexes, by the models of before.
    found = shop.call("search", "zanzibar xylophone", "-k", "1000", "--json")
    hits = json.loads(found.stdout)["items"]
    assert "BNEW000001" in {hit["parent_asin"] for hit in hits}
    assert "BNEW000001" in pl.read_parquet(shop.data / "processed/item_index/ids.parquet")["id"]


def test_search_finds_items(shop: Shop) -> None:
    result = shop.call("search", "a moisturizing shampoo for dry hair", "-k", "3", "--json")
    hits = json.loads(result.stdout)["items"]
    assert len(hits) == 3
    assert [h["score"] for h in hits] == sorted((h["score"] for h in hits), reverse=True)
    many = json.loads(shop.call("search", "soap", "-k", "1000", "--json").stdout)["items"]
    assert len(many) > 50


def test_the_served_set_answers_as_the_pipeline_did(shop: Shop) -> None:
    """Lists of held-out events, asked as a shopper would, equal `recommendations`."""
    settings = Settings(data_dir=shop.data)
    offline = pl.read_parquet(shop.data / "processed" / "recommendations" / "valid.parquet")
    events = shop.split_of("valid").select("review_id", "user_id", "timestamp", "context")
    asked = offline.filter(pl.col("scenario") != "review_text").join(
        events, on="review_id", how="left", maintain_order="left"
    )
    given = pl.when(pl.col("scenario") == "with_text").then("context")
    questions = [
        RecommendRequest(user_id=user, context=context, at=time, k=100)
        for user, context, time in asked.select("user_id", given, "timestamp").iter_rows()
    ]
    with Engine.open(settings) as engine:
        answers = engine.recommend(questions)
    assert len(questions) > 20
    for row, answer in zip(asked.iter_rows(named=True), answers, strict=True):
        assert answer["order"] == row["order"]
        wanted = dict(zip(row["parent_asin"], row["score"], strict=True))
        mine = {item["parent_asin"]: item["score"] for item in answer["items"]}
        assert mine == pytest.approx(wanted, abs=1e-5)


@pytest.mark.slow
def test_a_set_may_know_what_sells_now(shop: Shop) -> None:
    shop.run("--train", "never")
    measured = content_hash(shop.data / "processed" / "item_index")
    reviews = pl.read_parquet(shop.data / "processed" / "split_reviews.parquet")
    for statistics, counted in (("now", reviews), ("train", reviews.filter(split="train"))):
        built = shop.built("--train", "never", "--set", f"serve.statistics={statistics}")
        assert "serving_manifest" in built
        with Engine.open(Settings(data_dir=shop.data)) as engine:
            path = engine.shop.path
        sold = dict(counted.group_by("parent_asin").len().iter_rows())
        found = dict(zip(path.table.ids, np.expm1(path.table.events.log_count), strict=False))
        assert found == pytest.approx({item: sold.get(item, 0) for item in found}, rel=1e-4)
        assert path.tower.as_of_ms == cast(int, counted["timestamp"].max()) + 1
        until = shop.facts("serving_manifest")["statistics_until"]
        assert until == pytest.approx(path.tower.as_of_ms / 1000)
        # What is measured stays as it is: of train.
        assert content_hash(shop.data / "processed" / "item_index") == measured


def test_what_a_stage_cost_is_read_from_its_record(shop: Shop, tmp_path: Path) -> None:
    size = Size(500, 120)
    (tmp_path / str(size)).mkdir()
    (tmp_path / str(size) / "data").symlink_to(shop.data)
    assert folders(tmp_path) == [size]
    figures = {figure.stage: figure for figure in read(tmp_path, size, "processor_seconds")}
    assert {"raw_reviews", "keywords[train]", "evaluation_report"} <= set(figures)
    assert figures["reranker"].seconds > 0
    for figure in figures.values():
        assert figure.peak_mb > 100
        assert re.fullmatch("[0-9a-f]{12}", figure.content)


def test_report_prints_the_table(shop: Shop) -> None:
    assert "text_retriever" in shop.call("report").stdout
    assert json.loads(shop.call("report", "--json").stdout)["dataset"]["reviews"] > 0


def test_doctor_says_what_is_there(shop: Shop) -> None:
    result = shop.call("doctor")
    assert result.exit_code == 0, result.stdout
    assert re.search(r"ok +text index +version \w{16}, \d+ items", result.stdout)


@pytest.mark.live
@pytest.mark.timeout(900)
def test_a_night_after_a_killed_evaluation_asks_that_split_anew(shop: Shop) -> None:
    night = ("--train", "never", "--measure", "never")
    columns = ("user_id", "parent_asin", "rating", "title", "text")
    reviews = shop.split_of("test").head(30).select(columns).to_dicts()

    def sell() -> None:
        latest = cast(int, shop.split_of("test")["timestamp"].max())
        shop.append([{**row, "timestamp": latest + 1000 * n} for n, row in enumerate(reviews, 1)])

    shop.run("--train", "never")
    sell()
    assert shop.run(*night)["recommendations[valid]"] == "fresh"
    one = ("--select", "recommendations", "--partition", "valid")
    assert shop.run(*one, "--force") == {"recommendations[valid]": "failed"}
    asked = ("--select", "user_candidates", "--partition", "valid", "--train", "never")
    assert shop.run(*asked) == {"user_candidates[valid]": "built"}
    sell()
    statuses = shop.run(*night)
    assert statuses["user_candidates[valid]"] == statuses["ranking_metrics[valid]"] == "built"
    assert statuses["user_candidates[test]"] == statuses["reranker"] == "fresh"
