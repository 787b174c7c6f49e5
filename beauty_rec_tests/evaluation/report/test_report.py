import json
import math
import re
from io import StringIO

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from beauty_rec.cli.report_view import terminal_text, terminal_view
from beauty_rec.evaluation.block import (
    beyond_accuracy_block,
    classification_block,
    metric_block,
    split_section,
)
from beauty_rec.evaluation.plots.ranks import recall_curves
from beauty_rec.evaluation.report.comparison import best_baseline
from beauty_rec.evaluation.report.document import (
    build_report,
    dataset_block,
    read_report,
    write_report,
)
from beauty_rec.evaluation.report.markdown import markdown_page
from beauty_rec.measures.metrics import RECALL_CUTS

FIXED_METRICS = [*(f"recall@{k}" for k in RECALL_CUTS), "mrr", "ndcg@10"]


@pytest.fixture
def section():
    random = np.random.default_rng(7)
    base = random.integers(1, 900, 300).astype(float)
    ranks = {
        "popularity": np.full(300, 450.5),
        "bm25": base,
        "base_encoder": np.minimum(2 * base, 900),
        "text_retriever": np.minimum(3 * base, 900),
    }
    return split_section(
        ranks,
        versus={"text_retriever": ["popularity", "bm25", "base_encoder", "absent"]},
        groups={"answerable": base < 800},
        samples=200,
    )


@pytest.fixture
def dataset():
    reviews = pl.DataFrame({"user_id": ["u", "v", "u"], "split": ["train", "train", "test"]})
    return dataset_block(
        reviews,
        items=900,
        train_end_ms=1_600_000_000_000,
        valid_end_ms=1_650_000_000_000,
        quarantined={"rating outside 1 to 5": 2},
        synthetic=True,
    )


def test_a_block_has_the_fixed_keys_and_an_interval_per_metric(section):
    block = section["bm25"]
    assert set(FIXED_METRICS) <= set(block)
    assert list(block["intervals"]) == [*FIXED_METRICS, "ndcg@50"]
    for metric in FIXED_METRICS:
        low, high = block["intervals"][metric]
        assert low <= block[metric] <= high
    assert block["answerable"]["queries"] < block["queries"] == 300
    assert block["answerable"]["recall@100"] > block["recall@100"]


def test_no_query_gives_nulls_and_not_nan():
    block = metric_block(np.empty(0), groups={"cold": np.empty(0, dtype=bool)})
    assert block["queries"] == 0
    assert block["mrr"] is None
    assert block["intervals"]["recall@1"] is None
    assert block["cold"]["share"] is None
    assert classification_block([1, 1], [0.5, 0.5])["auc"] is None
    beyond = beyond_accuracy_block(np.full((2, 3), -1), np.zeros(5, dtype=np.int64))
    assert beyond == {"coverage@3": 0.0, "novelty@3": None, "intra_list_diversity@3": None}


def test_methods_must_share_their_queries():
    with pytest.raises(ValueError, match="different queries"):
        split_section({"bm25": np.ones(3), "popularity": np.ones(2)}, versus={})


def test_the_report_has_every_fixed_key_even_with_nothing_measured(dataset, tmp_path):
    report = build_report(dataset)
    assert list(report) == [
        "dataset",
        "retrieval",
        "retrieval_keywords",
        "recommendation",
        "answer",
        "reranker",
        "indexes",
        "cost",
    ]
    assert report["dataset"]["split"]["rows"] == {"train": 2, "valid": 0, "test": 1}
    assert report["dataset"]["users"] == 2
    nothing: dict[str, dict] = {
        "popularity": {},
        "bm25": {},
        "base_encoder": {},
        "text_retriever": {},
    }
    assert report["retrieval"] == {"valid": nothing, "test": nothing}
    assert list(report["recommendation"]["test"]) == [
        "popularity",
        "item_cf",
        "user_tower",
        "reranked",
    ]
    assert report["indexes"] == {"text_index": {}, "item_index": {}}
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report
    assert "Not measured." in markdown_page(report)
    assert "Nothing is measured yet." in terminal_text(report)


def test_nan_is_never_written(dataset, tmp_path):
    report = build_report(
        dataset,
        reranker={"valid": {"auc": math.nan, "log_loss": np.float32(0.5)}},
        cost=[{"asset": "raw_reviews", "seconds": math.inf, "rows": np.int64(3)}],
    )
    path = tmp_path / "report.json"
    write_report(report, path)
    assert "NaN" not in path.read_text()
    assert "Infinity" not in path.read_text()
    written = json.loads(path.read_text())
    assert written["reranker"]["valid"] == {"auc": None, "log_loss": 0.5}
    assert written["cost"][0] == {
        "asset": "raw_reviews",
        "split": None,
        "seconds": None,
        "rows": 3,
        "peak_memory_mb": None,
        "skipped": False,
    }
    assert "raw_reviews" in markdown_page(report)


def test_a_losing_stage_is_shown_as_losing(section, dataset):
    report = build_report(dataset, retrieval={"valid": section})
    verdict = best_baseline(report["retrieval"]["valid"], "text_retriever", "recall@100")
    assert verdict is not None
    assert verdict.reference == "bm25"
    assert verdict.outcome == "loses"
    page = markdown_page(report, {"Recall@k": "plots/recall.png"})
    assert "▼ text_retriever LOSES to bm25 on Recall@100" in page
    assert "![Recall@k](plots/recall.png)" in page
    text = terminal_text(report, width=80)
    assert f"▼ {verdict.value:.4f}" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_the_figures_of_one_user_have_no_interval(section, dataset):
    ranks = {"popularity": np.arange(1.0, 31.0), "user_tower": np.ones(30)}
    of_one = split_section(
        ranks, versus={"user_tower": ["popularity"]}, clusters=np.zeros(30, np.int64), samples=100
    )
    report = build_report(dataset, retrieval={"test": section}, recommendation={"test": of_one})
    assert set(of_one["popularity"]["intervals"].values()) == {None}
    assert of_one["user_tower"]["versus"]["popularity"]["mrr"]["interval"] is None
    verdict = best_baseline(report["recommendation"]["test"], "user_tower", "mrr")
    assert verdict is not None
    assert verdict.sentence().endswith(f"difference {verdict.difference:+.4f}, p = 1.0000")
    for text in (markdown_page(report), terminal_text(report)):
        assert f"{of_one['popularity']['mrr']:.4f}" in text
        assert "nan" not in text
    assert recall_curves({"test": of_one}, title="R").startswith(b"\x89PNG")


def test_retrieval_by_keywords_is_one_table_of_all_splits(section, dataset):
    by_keywords = {m: block for m, block in section.items() if m != "popularity"}
    report = build_report(
        dataset, retrieval={"valid": section}, retrieval_keywords={"valid": by_keywords, "test": {}}
    )
    assert list(report["retrieval_keywords"]["test"]) == list(by_keywords)
    page = markdown_page(report)
    assert page.count("## Retrieval by keywords") == 1
    assert page.index("## Text retrieval") < page.index("## Retrieval by keywords")
    shown = page.partition("## Retrieval by keywords")[2].partition("## Recommendation")[0]
    assert [line.split(" | ")[1] for line in shown.splitlines() if line.startswith("| valid")] == [
        "bm25",
        "base_encoder",
        "text_retriever",
    ]
    for block in report["retrieval_keywords"]["valid"].values():
        block["queries"] = 20_000
    text = terminal_text(report, width=80)
    assert "Retrieval by keywords" in text
    assert "20,000 queries of valid" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    for show in (markdown_page, terminal_text):
        assert "by keywords" not in show(build_report(dataset, retrieval={"valid": section}))


def test_a_split_that_chose_is_not_shown_in_bold(section, dataset):
    served = {"served": section["bm25"], "user_tower": section["text_retriever"]}
    for split, is_bold in (("valid", False), ("test", True)):
        both = {split: section}
        report = build_report(
            dataset, retrieval=both, retrieval_keywords=both, answer={split: {"with_text": served}}
        )
        page = markdown_page(report)
        # In the table of all queries, in that of those with an answer, and in that of keywords.
        assert page.count("**text_retriever**") == 3 * is_bold
        assert page.count("**served**") == is_bold
        assert "**bm25**" not in page
        console = Console(width=100, force_terminal=True, color_system="standard", file=StringIO())
        with console.capture() as caught:
            console.print(terminal_view(report))
        bold = "".join(re.findall(r"\x1b\[1(?:;\d+)?m([^\x1b]*)", caught.get()))
        for shown in ("text_retriever", "served", "▼"):
            assert (shown in bold) == is_bold, (split, shown)


def test_train_is_shown_and_not_judged(section, dataset):
    """Its baselines have counted the asked events: a model that loses to them there is no worse."""
    blocks = {name: {**block, "versus": {}} for name, block in section.items()}
    report = build_report(dataset, retrieval={"train": blocks}, recommendation={"train": blocks})
    page, text = markdown_page(report), terminal_text(report)
    assert page.count("300 queries (a sample of train, to see overfitting; not held out: ") == 2
    assert text.count("300 queries, not held out") == 2
    for shown in (page, text):
        assert not {"▲", "▼", "△", "▽"} & {*shown}
    assert "LOSES" not in page
    assert "**text_retriever**" not in page


def test_what_is_served_stands_beside_the_best_order_and_the_best_baseline(dataset):
    random = np.random.default_rng(8)
    served = random.integers(1, 50, 300).astype(float)
    ranks = {
        "user_tower": served + 9,
        "fused": served + 2,
        "served": served,
        "popularity": served + 30,
        "item_cf": np.maximum(served - 5, 1),
    }
    section = split_section(
        ranks, versus={"served": [name for name in ranks if name != "served"]}, samples=200
    )
    report = build_report(dataset, answer={"test": {"with_text": section}})
    page = markdown_page(report)
    assert "\n- ▲ served beats fused on NDCG@10: " in page
    assert "\n- ▼ served LOSES to item_cf on NDCG@10: " in page
    assert "served LOSES to popularity" not in page
    text = " ".join(terminal_text(report, width=80).split())
    assert "▲ served beats fused on NDCG@10: " in text
    assert "▼ served LOSES to item_cf on NDCG@10: " in text
    assert max(map(len, terminal_text(report, width=80).splitlines())) <= 80


def test_synthetic_data_are_labelled(section, dataset):
    synthetic = build_report(dataset, retrieval={"test": section})
    real = build_report({**dataset, "synthetic": False}, retrieval={"test": section})
    for show in (markdown_page, terminal_text):
        assert "Synthetic sample" in show(synthetic)
        assert "Synthetic" not in show(real)


def test_a_missing_or_broken_report_names_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="beauty-rec run"):
        read_report(tmp_path / "report.json")
    (tmp_path / "report.json").write_text("[1")
    with pytest.raises(ValueError, match="beauty-rec run"):
        read_report(tmp_path / "report.json")
    with pytest.raises(ValueError, match="names no asset"):
        build_report({}, cost=[{"seconds": 1}])
