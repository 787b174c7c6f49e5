"""Assets [retriever] [evaluation]: retrieval candidates, metrics, and the report."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.assets.intake import REFUSED, ROWS
from beauty_rec.orchestration.assets.retriever import QUERIES
from beauty_rec.orchestration.catalogue.markdown import image_markdown
from beauty_rec.orchestration.catalogue.metrics import headline_metadata, metrics_metadata
from beauty_rec.orchestration.catalogue.samples import answers_metadata
from beauty_rec.orchestration.checks.make import metric_checks
from beauty_rec.orchestration.stage.embedding import KeptQueries
from beauty_rec.orchestration.stage.partitions import splits
from beauty_rec.orchestration.stage.stage import stage
from beauty_rec.orchestration.storage.indexes import TextIndexResource
from beauty_rec.orchestration.storage.records import (
    cost_table,
    events_version,
    latest_metadata,
    measured_before,
)
from beauty_rec.orchestration.storage.resources import EncoderResource
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings, redacted

CANDIDATES = 100


@stage(
    group="retriever",
    io="frames",
    settings=("encoder", "evaluation.train_queries", "evaluation.keyword_queries", *QUERIES),
    reads={"split_reviews": ["own", "train", "items"]},
    partitions_def=splits,
    kinds=("chroma", "polars"),
    deps=["text_index"],
    gpu=True,
    retries=True,
)
def retrieval_candidates(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    encoder: EncoderResource,
    chroma: TextIndexResource,
    split_reviews: pl.DataFrame,
    keywords: pl.DataFrame,
    merged_items: pl.DataFrame,
    base_embeddings: Vectors,
    item_embeddings: Vectors,
    text_retriever: Path,
) -> pl.DataFrame:
    """The exact rank of each query's answer by method; of a text, the top 100 of the index too."""
    from beauty_rec.evaluation.baselines import BM25
    from beauty_rec.evaluation.retrieval import (
        KEYWORDS,
        REVIEW_TEXT,
        retrieval_queries,
        retrieval_ranks,
    )
    from beauty_rec.search.exact import ExactIndex
    from beauty_rec.search.near_ties import SLACK, steadied
    from beauty_rec.search.protocol import recall_against_exact

    lexical = BM25(merged_items["text"].to_list())
    asked = retrieval_queries(split_reviews, keywords, context.partition_key, settings.evaluation)

    def vectors_by(model: str | Path, name: str) -> dict[str, NDArray[np.float32]]:
        """Return the vectors of the queries by kind."""
        loaded, found = encoder.load(model, settings.encoder), {}
        for kind, queries in asked.items():
            kept = KeptQueries(context, settings, loaded, model, f"{name}-{kind}")
            found[kind] = kept.encode_queries(queries["query"].to_list())
        return found

    base, tuned = vectors_by(settings.encoder.model, "base"), vectors_by(text_retriever, "tuned")
    ranks = {
        kind: retrieval_ranks(
            queries,
            split_reviews,
            merged_items,
            lexical,
            {
                "base_encoder": (base[kind], base_embeddings),
                "text_retriever": (tuned[kind], item_embeddings),
            },
        ).with_columns(query_type=pl.lit(kind))
        for kind, queries in asked.items()
    }
    texts = tuned[REVIEW_TEXT]
    with chroma.served() as index:
        places = {name: row for row, name in enumerate(item_embeddings.ids)}
        found = steadied(index.search(texts, CANDIDATES + SLACK), places, CANDIDATES)
        recall = recall_against_exact(index, ExactIndex(item_embeddings), texts[:200], CANDIDATES)
    context.add_asset_metadata(
        {
            "queries": asked[REVIEW_TEXT].height,
            "keyword_queries": asked[KEYWORDS].height,
            "index_recall_vs_exact@100": recall,
            **answers_metadata(asked[REVIEW_TEXT], found.ids, merged_items),
        }
    )
    ranks[REVIEW_TEXT] = ranks[REVIEW_TEXT].with_columns(
        candidates=pl.Series(found.ids, dtype=pl.List(pl.String)),
        scores=pl.Series(found.scores.tolist(), dtype=pl.List(pl.Float32)),
    )
    # So that what tells of these events is told anew, though other ones may have the same ranks.
    events = events_version(context.instance, context.partition_key)
    return pl.concat(ranks.values(), how="diagonal").with_columns(events=pl.lit(events))


@stage(
    group="retriever",
    io="documents",
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
    from beauty_rec.evaluation.retrieval import KEYWORDS, REVIEW_TEXT, retrieval_sections

    split = context.partition_key
    sections = retrieval_sections(
        retrieval_candidates, settings.evaluation, held_out=split != "train"
    )
    by_keywords = metrics_metadata(sections[KEYWORDS], f"Retrieval by keywords, {split}")
    context.add_asset_metadata(
        {
            **metrics_metadata(sections[REVIEW_TEXT], f"Text retrieval, {split}"),
            **{f"keywords: {name}": value for name, value in by_keywords.items()},
        }
    )
    return dict(sections)


@stage(
    group="evaluation",
    io="evaluation",
    reads={
        "raw_items": [ROWS, REFUSED],
        "raw_reviews": [REFUSED],
        "user_profiles": [REFUSED],
    },
    # Of the candidates it says of which events, and when they were asked.
    deps=["raw_reviews", "user_profiles", "user_candidates"],
    kinds=("markdown", "matplotlib"),
)
def evaluation_report(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    split_reviews: pl.DataFrame,
    raw_items: pl.DataFrame,
    text_retriever: Path,
    text_index: dict[str, Any],
    item_index: Path,
    retrieval_candidates: dict[str, pl.DataFrame],
    retrieval_metrics: dict[str, dict[str, Any]],
    ranking_metrics: dict[str, dict[str, Any]],
    online_metrics: pl.DataFrame,
) -> Path:
    """`data/evaluation/`: report.json, report.md and the plots; each stage beside its baselines."""
    from beauty_rec.evaluation.online.rates import online_block
    from beauty_rec.evaluation.report.document import build_report, dataset_block
    from beauty_rec.evaluation.report.folder import write_page
    from beauty_rec.evaluation.retrieval import KEYWORDS, REVIEW_TEXT
    from beauty_rec.events.places import answer_set
    from beauty_rec.retriever.model_card import TrainingLog
    from beauty_rec.sample import is_synthetic

    instance = context.instance
    cuts = latest_metadata(instance, dg.AssetKey("split_reviews"))
    refused: Counter[str] = Counter()
    for name in ("raw_reviews", "raw_items", "user_profiles"):
        found = latest_metadata(instance, dg.AssetKey(name)).get("refused_by_reason", {})
        refused.update({f"{name}: {reason}": rows for reason, rows in found.items()})
    items = answer_set(raw_items["parent_asin"].to_list(), split_reviews["parent_asin"])
    reviews = settings.inputs["reviews"]
    note = TrainingLog.load(text_retriever).note
    notes = [f"text_retriever: {note}"] if note else []
    notes += [
        f"{split}: its events have changed since its answers were measured on {at:%Y-%m-%d}; "
        "the job evaluate measures them anew, and so does beauty-rec run"
        for split, at in measured_before(instance)
    ]
    report = build_report(
        dataset_block(
            split_reviews,
            items=len(items),
            train_end_ms=cuts["train_end_ms"],
            valid_end_ms=cuts["valid_end_ms"],
            quarantined=refused,
            synthetic=reviews is not None and is_synthetic(reviews),
            notes=notes,
        ),
        retrieval={s: found[REVIEW_TEXT] for s, found in retrieval_metrics.items()},
        retrieval_keywords={s: found[KEYWORDS] for s, found in retrieval_metrics.items()},
        recommendation={s: found["recommendation"] for s, found in ranking_metrics.items()},
        reranker={s: found["reranker"] for s, found in ranking_metrics.items()},
        answer={s: found["answer"] for s, found in ranking_metrics.items()},
        indexes={
            "text_index": text_index,
            "item_index": json.loads((item_index / "index.json").read_text(encoding="utf-8")),
        },
        cost=cost_table(context),
        online=online_block(online_metrics),
    )
    draft = store.draft("evaluation")
    texts = {s: ranks.filter(query_type=REVIEW_TEXT) for s, ranks in retrieval_candidates.items()}
    plots = write_page(draft, report, texts, text_retriever)
    context.add_asset_metadata(
        {
            **headline_metadata(report),
            "report": dg.MetadataValue.md((draft / "report.md").read_text(encoding="utf-8")),
            **{
                title: dg.MetadataValue.md(image_markdown(title, png))
                for title, png in plots.items()
            },
        }
    )
    if settings.mlflow.tracking_uri is not None:
        from beauty_rec.orchestration.catalogue.mlflow_log import log_report

        try:
            run = log_report(settings, report, draft, context.run.run_id)
            context.add_asset_metadata({"mlflow_run": run})
        except Exception as error:  # a report does not wait for those who watch
            context.log.warning(redacted(f"not logged to MLflow: {type(error).__name__}: {error}"))
    return draft


checks = metric_checks(retrieval_metrics, {"text_retriever": "base_encoder"})
