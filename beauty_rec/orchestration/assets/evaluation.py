"""[retriever] [evaluation] Candidates, metrics, and the one page that shows them all."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.assets.retriever import QUERIES
from beauty_rec.orchestration.cost import cost_table, latest_metadata
from beauty_rec.orchestration.io import image_markdown
from beauty_rec.orchestration.partitions import splits
from beauty_rec.orchestration.stage import stage
from beauty_rec.settings import Settings

CANDIDATES = 100


@stage(
    group="retriever",
    io="frames",
    code=("evaluation/retrieval.py", "evaluation/ranks.py", "evaluation/baselines.py"),
    settings=("encoder", "evaluation.train_queries", *QUERIES),
    reads={"split_reviews": ["own", "train", "items"]},
    partitions_def=splits,
    kinds=("chroma", "polars"),
    deps=["text_index"],
    pool="gpu",
)
def retrieval_candidates(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    split_reviews: pl.DataFrame,
    merged_items: pl.DataFrame,
    base_embeddings: Vectors,
    item_embeddings: Vectors,
    text_retriever: Path,
) -> pl.DataFrame:
    """Top 100 of the served index for each query, and the exact rank of its answer by method."""
    from beauty_rec.evaluation.retrieval import retrieval_ranks, split_queries
    from beauty_rec.indexes.chroma import open_current
    from beauty_rec.indexes.exact import ExactIndex
    from beauty_rec.indexes.protocol import recall_against_exact
    from beauty_rec.retriever.encoder import TextEncoder

    queries = split_queries(split_reviews, context.partition_key, settings.evaluation)
    texts = queries["query"].to_list()
    base = TextEncoder.load(settings.encoder.model, settings.encoder).encode_queries(texts)
    tuned = TextEncoder.load(text_retriever, settings.encoder).encode_queries(texts)
    ranks = retrieval_ranks(
        queries,
        split_reviews,
        merged_items,
        {
            "base_encoder": (base, base_embeddings),
            "text_retriever": (tuned, item_embeddings),
        },
    )
    with open_current(settings.data_dir / "chromadb") as index:
        found = index.search(tuned, CANDIDATES)
        recall = recall_against_exact(index, ExactIndex(item_embeddings), tuned[:200], CANDIDATES)
    context.add_asset_metadata({"queries": len(texts), "index_recall_vs_exact@100": recall})
    return ranks.with_columns(
        candidates=pl.Series(found.ids, dtype=pl.List(pl.String)),
        scores=pl.Series(found.scores.tolist(), dtype=pl.List(pl.Float32)),
    )


@stage(
    group="retriever",
    io="documents",
    code=(
        "evaluation/retrieval.py",
        "evaluation/block.py",
        "evaluation/metrics.py",
        "evaluation/intervals.py",
        "evaluation/significance.py",
    ),
    settings=("evaluation",),
    partitions_def=splits,
    kinds=("numpy",),
)
def retrieval_metrics(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    retrieval_candidates: pl.DataFrame,
) -> dict[str, Any]:
    """Recall@k, MRR and NDCG of each method, with intervals and paired tests."""
    from beauty_rec.evaluation.retrieval import retrieval_section

    section = retrieval_section(retrieval_candidates, settings.evaluation)
    for method, block in section.items():
        for metric in ("recall@100", "mrr", "ndcg@10"):
            if block[metric] is not None:
                context.add_asset_metadata({f"{method} {metric}": block[metric]})
    return section


@stage(
    group="evaluation",
    io="evaluation",
    code=("evaluation",),
    kinds=("markdown", "matplotlib"),
)
def evaluation_report(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    split_reviews: pl.DataFrame,
    raw_items: pl.DataFrame,
    text_retriever: Path,
    text_index: dict[str, Any],
    item_index: Path,
    retrieval_candidates: dict[str, pl.DataFrame],
    retrieval_metrics: dict[str, dict[str, Any]],
    ranking_metrics: dict[str, dict[str, Any]],
) -> Path:
    """`data/evaluation/`: report.json, report.md and the plots; each stage beside its baselines."""
    from beauty_rec.corpus.sample import is_synthetic
    from beauty_rec.evaluation.page import write_page
    from beauty_rec.evaluation.protocol import answer_set
    from beauty_rec.evaluation.report import build_report, dataset_block
    from beauty_rec.retriever.model_card import TrainingLog

    instance = context.instance
    cuts = latest_metadata(instance, dg.AssetKey("split_reviews"))
    refused: Counter[str] = Counter()
    for name in ("raw_reviews", "raw_items", "user_profiles"):
        found = latest_metadata(instance, dg.AssetKey(name)).get("refused_by_reason", {})
        refused.update({f"{name}: {reason}": rows for reason, rows in found.items()})
    items = answer_set(raw_items["parent_asin"].to_list(), split_reviews["parent_asin"])
    reviews = settings.inputs["reviews"]
    note = TrainingLog.load(text_retriever).note
    report = build_report(
        dataset_block(
            split_reviews,
            items=len(items),
            train_end_ms=cuts["train_end_ms"],
            valid_end_ms=cuts["valid_end_ms"],
            quarantined=refused,
            synthetic=reviews is not None and is_synthetic(reviews),
            notes=[f"text_retriever: {note}"] if note else [],
        ),
        retrieval=retrieval_metrics,
        recommendation={s: found["recommendation"] for s, found in ranking_metrics.items()},
        reranker={s: found["reranker"] for s, found in ranking_metrics.items()},
        indexes={
            "text_index": text_index,
            "item_index": json.loads((item_index / "index.json").read_text(encoding="utf-8")),
        },
        cost=cost_table(context),
    )
    draft = settings.data_dir / ".drafts" / "evaluation"
    plots = write_page(draft, report, retrieval_candidates, text_retriever)
    context.add_asset_metadata(
        {
            "report": dg.MetadataValue.md((draft / "report.md").read_text(encoding="utf-8")),
            **{
                title: dg.MetadataValue.md(image_markdown(title, png))
                for title, png in plots.items()
            },
        }
    )
    return draft
