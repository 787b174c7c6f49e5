"""Assets [ranking]: the reranker, the lists that it orders, and their metrics."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.assets.towers import EVENTS
from beauty_rec.orchestration.catalogue.metrics import metrics_metadata
from beauty_rec.orchestration.catalogue.samples import orders_metadata
from beauty_rec.orchestration.catalogue.trainings import epochs_metadata
from beauty_rec.orchestration.checks import verdicts
from beauty_rec.orchestration.checks.make import facts_check, metric_checks
from beauty_rec.orchestration.stage.partitions import splits
from beauty_rec.orchestration.stage.stage import stage
from beauty_rec.orchestration.storage.resources import ArtifactStore
from beauty_rec.settings import Settings

GROUP = "ranking"


@stage(
    group=GROUP,
    io="models",
    settings=("ranking", "attributes", "user_tower.candidates", *EVENTS),
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
    store: ArtifactStore,
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
    from beauty_rec.events.asked import asked_events
    from beauty_rec.events.folds import fold_of
    from beauty_rec.items.event_values import EventValueHistory
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.ranking.fit import Sources, fit_reranker
    from beauty_rec.towers.items.served import load_item_tower

    known = split_reviews.filter(pl.col("split") != "test")
    reviews, train = asked_events(known, "train", settings, user_tower)
    _, valid = asked_events(known, "valid", settings, user_tower)
    target = store.draft("reranker")
    log = fit_reranker(
        Sources(
            item_attributes,
            EventValueHistory(
                item_attributes,
                split_reviews.filter(split="train"),
                user_profiles,
                settings.attributes,
            ).before,
            raw_items,
            reviews.filter(split="train"),
            user_profiles,
            Vocabulary.load(vocabulary),
        ),
        fold_of(train, user_tower),
        user_candidates["train"],
        valid,
        user_candidates["valid"],
        load_item_tower(item_tower).embedding.weight.detach().numpy(),
        settings.ranking,
        settings.user_tower.candidates,
        target,
    )
    plain = log.get("without_transfer", {})
    context.add_asset_metadata(
        epochs_metadata(
            "Reranker (DeepFM)",
            log["epochs"],
            ("train_log_loss", "valid_log_loss", "valid_auc"),
            settings.ranking,
            examples=log["examples"],
            positives=log["positives"],
            **log["best"],
            **{f"{name} without transfer": value for name, value in plain.items()},
        )
    )
    return target


@stage(
    group=GROUP,
    io="frames",
    settings=("user_tower.candidates", *EVENTS),
    reads={"split_reviews": ["own", "train", "valid"]},
    partitions_def=splits,
    kinds=("pytorch", "polars"),
)
def recommendations(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    reranker: Path,
    user_tower: Path,
    user_candidates: pl.LazyFrame,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
    merged_items: pl.DataFrame,
) -> pl.DataFrame:
    """Each event's candidates, best first, with the probability of being chosen."""
    from beauty_rec.evaluation.plots.training import bars, calibration_plot
    from beauty_rec.events.asked import asked_events
    from beauty_rec.orchestration.catalogue.markdown import image_markdown
    from beauty_rec.ranking.apply import load_reranker, reorder
    from beauty_rec.ranking.features.skew import feature_skew

    split = context.partition_key
    _, events = asked_events(split_reviews, split, settings, user_tower)
    candidates = _served(user_candidates, settings)
    model, builder = load_reranker(reranker)
    ordered, figures, (labels, probabilities) = reorder(
        model, builder, events, candidates, user_profiles
    )
    shifts, alone = feature_skew(builder, events, candidates, user_profiles)
    plots = {"feature_skew": bars(shifts, title=f"Feature shift, {split}", unit="deviations")}
    if labels.any():
        plots["calibration"] = calibration_plot(
            labels, probabilities, title=f"Calibration, {split}"
        )
    context.add_asset_metadata(
        {
            "events": events.height,
            **figures,
            "largest_feature_shift": max(map(abs, shifts.values()), default=0.0),
            "request_batch_difference": alone,
            **{f"shift {name}": value for name, value in shifts.items()},
            **orders_metadata(ordered, events, merged_items),
            **{n: dg.MetadataValue.md(image_markdown(n, png)) for n, png in plots.items()},
        }
    )
    return ordered


@stage(
    group=GROUP,
    io="documents",
    settings=("evaluation", "recommendation", "user_tower.candidates"),
    reads={"split_reviews": ["own", "train", "valid", "items"]},
    partitions_def=splits,
    kinds=("numpy",),
)
def ranking_metrics(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    recommendations: pl.DataFrame,
    user_candidates: pl.LazyFrame,
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
    )
    from beauty_rec.events.asked import asked_events

    split = context.partition_key
    reviews, events = asked_events(split_reviews, split, settings, user_tower)
    tower = _served(user_candidates, settings).rename({"tower_rank": "rank"})
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
    context.add_asset_metadata(
        {
            **metrics_metadata(section, f"Recommendation, {split}"),
            **{f"reranker {k}": float(v) for k, v in figures.items() if isinstance(v, float)},
        }
    )
    return {"recommendation": section, "reranker": figures}


def _served(candidates: pl.LazyFrame, settings: Settings) -> pl.DataFrame:
    """Return as many of each event as a request gets: a train event has more, to learn from."""
    return candidates.filter(pl.col("tower_rank") <= settings.user_tower.candidates).collect()


checks = [
    facts_check(
        recommendations,
        "no_train_serve_skew",
        lambda facts, settings: verdicts.no_skew(facts, settings.checks),
        "A request's features are those of the batch, and lie where they lay in training.",
    ),
    *metric_checks(ranking_metrics, {"user_tower": "popularity", "reranked": "user_tower"}),
]
