"""[ranking] Candidates, put in order, and how good the order is."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.assets.towers import EVENTS
from beauty_rec.orchestration.partitions import splits
from beauty_rec.orchestration.stage import stage
from beauty_rec.settings import Settings

GROUP = "ranking"
STAGE_CODE = ("ranking", "evaluation/recommendation.py", "evaluation/protocol.py")


@stage(
    group=GROUP,
    io="models",
    code=STAGE_CODE,
    settings=("ranking", *EVENTS),
    reads={"split_reviews": ["train", "valid"]},
    ins={
        "user_candidates": dg.AssetIn(
            partition_mapping=dg.SpecificPartitionsPartitionMapping(["train", "valid"])
        )
    },
    kinds=("pytorch",),
)
def reranker(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    user_candidates: dict[str, pl.DataFrame],
    user_tower: Path,
    item_tower: Path,
    vocabulary: Path,
    item_attributes: pl.DataFrame,
    raw_items: pl.DataFrame,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
) -> Path:
    """DeepFM over candidates, its embeddings taken over from the item tower."""
    from beauty_rec.evaluation.recommendation import split_events
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.ranking.stages import Sources, fit_reranker
    from beauty_rec.towers.folds import first_fold, fold_of, with_context
    from beauty_rec.towers.train_item_tower import load_item_tower

    reviews = with_context(split_reviews.filter(pl.col("split") != "test"), settings)
    train = split_events(reviews, "train", settings.evaluation, first_fold(user_tower))
    models = settings.data_dir / "models"
    target = models / ".drafts" / "reranker"
    log = fit_reranker(
        Sources(
            item_attributes,
            raw_items,
            reviews.filter(split="train"),
            user_profiles,
            Vocabulary.load(vocabulary),
        ),
        fold_of(train, user_tower),
        user_candidates["train"],
        split_events(reviews, "valid", settings.evaluation),
        user_candidates["valid"],
        load_item_tower(item_tower).embedding.weight.detach().numpy(),
        settings.ranking,
        target,
    )
    plain = log.get("without_transfer", {})
    context.add_asset_metadata(
        {
            "examples": log["examples"],
            "positives": log["positives"],
            "epochs": len(log["epochs"]),
            **log["best"],
            **{f"{name} without transfer": value for name, value in plain.items()},
        }
    )
    return target


@stage(
    group=GROUP,
    io="frames",
    code=STAGE_CODE,
    settings=EVENTS,
    reads={"split_reviews": ["own", "train", "valid"]},
    partitions_def=splits,
    kinds=("pytorch", "polars"),
)
def recommendations(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    reranker: Path,
    user_tower: Path,
    user_candidates: pl.DataFrame,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
) -> pl.DataFrame:
    """Each event's candidates, best first, with the probability of being chosen."""
    from beauty_rec.evaluation.recommendation import split_events
    from beauty_rec.evaluation.training_plots import calibration_plot
    from beauty_rec.orchestration.io import image_markdown
    from beauty_rec.ranking.stages import load_reranker, reorder
    from beauty_rec.towers.folds import first_fold, with_context

    split = context.partition_key
    since = first_fold(user_tower) if split == "train" else None
    events = split_events(with_context(split_reviews, settings), split, settings.evaluation, since)
    model, builder = load_reranker(reranker)
    ordered, figures, (labels, probabilities) = reorder(
        model, builder, events, user_candidates, user_profiles
    )
    context.add_asset_metadata(figures)
    if labels.any():
        plot = calibration_plot(labels, probabilities, title=f"Calibration, {split}")
        context.add_asset_metadata(
            {"calibration": dg.MetadataValue.md(image_markdown("Calibration", plot))}
        )
    return ordered


@stage(
    group=GROUP,
    io="documents",
    code=("evaluation",),
    settings=("evaluation", "recommendation"),
    reads={"split_reviews": ["own", "train", "valid", "items"]},
    partitions_def=splits,
    kinds=("numpy",),
)
def ranking_metrics(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    recommendations: pl.DataFrame,
    user_candidates: pl.DataFrame,
    user_tower: Path,
    item_vectors: Vectors,
    split_reviews: pl.DataFrame,
) -> dict[str, Any]:
    """Recall, NDCG and MRR of both stages beside their baselines; AUC and log loss."""
    from beauty_rec.evaluation.block import classification_block
    from beauty_rec.evaluation.recommendation import (
        baseline_ranks,
        ranks_in_lists,
        recommendation_section,
        split_events,
    )
    from beauty_rec.towers.folds import first_fold, with_context

    split = context.partition_key
    reviews = with_context(split_reviews, settings)
    since = first_fold(user_tower) if split == "train" else None
    events = split_events(reviews, split, settings.evaluation, since)
    tower = user_candidates.rename({"tower_rank": "rank"})
    section = recommendation_section(
        events,
        {
            **baseline_ranks(events, reviews, item_vectors.ids),
            "user_tower": ranks_in_lists(events, tower),
            "reranked": ranks_in_lists(events, recommendations),
        },
        {"user_tower": tower, "reranked": recommendations},
        reviews,
        item_vectors,
        settings.evaluation,
    )
    answers = events.select("review_id", answer="parent_asin")
    labelled = recommendations.join(answers, on="review_id", how="inner")
    figures = classification_block(
        (labelled["parent_asin"] == labelled["answer"]).to_numpy(),
        labelled["probability"].to_numpy(),
    )
    for method, block in section.items():
        for metric in ("recall@100", "mrr", "ndcg@10"):
            if block[metric] is not None:
                context.add_asset_metadata({f"{method} {metric}": block[metric]})
    return {"recommendation": section, "reranker": figures}
