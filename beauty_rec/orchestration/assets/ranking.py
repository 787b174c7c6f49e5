"""Assets [ranking]: the reranker, the lists that it orders, and their metrics."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.assets.raw import hidden_items_file
from beauty_rec.orchestration.assets.towers import EVENTS
from beauty_rec.orchestration.catalogue.markdown import image_markdown
from beauty_rec.orchestration.catalogue.metrics import (
    answer_metadata,
    metrics_metadata,
    orders_metadata,
    served_orders,
)
from beauty_rec.orchestration.catalogue.samples import lists_metadata
from beauty_rec.orchestration.catalogue.trainings import epochs_metadata, transfer_metadata
from beauty_rec.orchestration.checks import verdicts
from beauty_rec.orchestration.checks.make import facts_check, metric_checks, served_checks
from beauty_rec.orchestration.stage.partitions import splits
from beauty_rec.orchestration.stage.stage import stage, used_code_version
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings

GROUP = "ranking"


@stage(
    group=GROUP,
    io="models",
    settings=("ranking", *EVENTS),
    reads={"split_reviews": ["train", "valid"]},
    ins={
        "user_candidates": dg.AssetIn(
            partition_mapping=dg.SpecificPartitionsPartitionMapping(["train", "valid"])
        )
    },
    kinds=("pytorch", "lightgbm"),
    gpu=True,
)
def reranker(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    user_candidates: dict[str, pl.LazyFrame],
    user_tower: Path,
    item_tower: Path,
    past_items: Path,
    vocabulary: Path,
    item_attributes: pl.DataFrame,
    raw_items: pl.DataFrame,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
) -> Path:
    """DeepFM and trees over candidates, weights of the sources, and which order is served."""
    from beauty_rec.evaluation.yardsticks import popularity_gains
    from beauty_rec.events.asked import known_events
    from beauty_rec.events.folds import starts_of
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.ranking.features.knowledge import ItemKnowledge
    from beauty_rec.recommender.fit.reranking import fit_reranking
    from beauty_rec.recommender.offline.lists import CandidateLists
    from beauty_rec.recommender.offline.split_asks import split_asks
    from beauty_rec.towers.items.served import load_item_tower, value_rows
    from beauty_rec.towers.past.stored import PastItems
    from beauty_rec.training.device import device_of

    known = split_reviews.filter(pl.col("split") != "test")
    knowledge = ItemKnowledge.of(
        item_attributes,
        raw_items,
        known,
        user_profiles,
        Vocabulary.load(vocabulary),
        settings,
        PastItems.load(past_items).attributes,
    )
    read = CandidateLists.from_frame
    train, valid = (
        split_asks(read(user_candidates[split]), known, split, user_profiles, settings, user_tower)
        for split in ("train", "valid")
    )
    reviews, events = known_events(known, "valid", settings, user_tower)
    names, scenarios = valid.lists.review_ids, valid.lists.scenarios
    catalogue = raw_items["parent_asin"].to_list()
    target = store.draft("reranker")
    log, orders = fit_reranking(
        knowledge,
        train,
        starts_of(user_tower),
        valid,
        value_rows(load_item_tower(item_tower)),
        settings.reads_texts,
        target,
        store.checkpoints("reranker", used_code_version(context)),
        device_of(settings.encoder.device),
        popularity_gains(names, scenarios, events, reviews, catalogue),
    )
    if log["judged_by"] != "valid":
        context.log.warning(f"stopped and calibrated by {log['judged_by']}")
    if log["note"]:
        context.log.warning(log["note"])
    context.add_asset_metadata(
        {
            **epochs_metadata(
                "Reranker (DeepFM)",
                log["epochs"],
                ("train_log_loss", "valid_log_loss", "valid_auc", "valid_ndcg@10"),
                settings.ranking,
                judged_by=log["judged_by"],
                examples=log["examples"],
                positives=log["positives"],
                trees=log["trees"],
                **log["best"],
            ),
            **({"note": log["note"]} if log["note"] else {}),
            **transfer_metadata(log["transfer"]),
            **orders_metadata(orders),
        }
    )
    return target


@stage(
    group=GROUP,
    io="frames",
    settings=(*EVENTS, "evaluation.train_queries"),
    reads={"split_reviews": ["own", "train", "valid"]},
    partitions_def=splits,
    deps=[hidden_items_file],
    kinds=("pytorch", "polars"),
)
def recommendations(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    reranker: Path,
    vocabulary: Path,
    user_tower: Path,
    user_candidates: pl.LazyFrame,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
    item_attributes: pl.DataFrame,
    raw_items: pl.DataFrame,
    merged_items: pl.DataFrame,
) -> pl.DataFrame:
    """The list as served of each event and scenario, and where every order has its answer."""
    from beauty_rec.corpus.hidden import read_hidden
    from beauty_rec.evaluation.block import with_reranker
    from beauty_rec.evaluation.plots.training import bars, calibration_plot
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.ranking.apply import load_rankers
    from beauty_rec.ranking.features.item_table import Described
    from beauty_rec.recommender.offline.lists import CandidateLists
    from beauty_rec.recommender.offline.ordering import order_split
    from beauty_rec.recommender.offline.split_asks import split_asks
    from beauty_rec.recommender.orders import Orders

    split = context.partition_key
    lists = CandidateLists.from_frame(user_candidates)
    if hidden := read_hidden(settings.hidden_items):  # of train: it learns from them
        lists = lists.without(hidden)
    asks = split_asks(lists, split_reviews, split, user_profiles, settings, user_tower)
    if split == "train":  # it is ordered to see overfitting, for which some will do
        asks = asks.sampled(settings.evaluation.train_queries, settings.evaluation.seed)
    models, builder = load_rankers(reranker, Vocabulary.load(vocabulary))
    builder = builder.with_later(Described.of(item_attributes, builder.vocabulary, raw_items))
    ordered = order_split(asks, models, builder, Orders.load(reranker), settings.reads_texts)
    plots = {
        "feature_skew": bars(ordered.shifts, title=f"Feature shift, {split}", unit="deviations")
    }
    if ordered.labels.any():
        plots["calibration"] = calibration_plot(
            ordered.labels.astype(np.float64),
            ordered.probabilities.astype(np.float64),
            title=f"Calibration, {split}",
        )
    shifts = ordered.shifts
    context.add_asset_metadata(
        {
            "asks": len(asks.lists),
            "largest_feature_shift": max(map(abs, shifts.values()), default=0.0),
            "request_batch_difference": ordered.alone,
            **{f"shift {name}": value for name, value in shifts.items()},
            **lists_metadata(ordered.frame, asks.answers(), merged_items),
            **{n: dg.MetadataValue.md(image_markdown(n, png)) for n, png in plots.items()},
        }
    )
    return with_reranker(ordered.frame, ordered.labels, ordered.probabilities)


@stage(
    group=GROUP,
    io="documents",
    settings=(
        *("evaluation", "recommendation"),
        *("ranking.history_length", "ranking.max_user_events"),
    ),
    reads={"split_reviews": ["own", "train", "valid", "items"]},
    partitions_def=splits,
    kinds=("numpy",),
)
def ranking_metrics(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    recommendations: pl.DataFrame,
    user_tower: Path,
    item_vectors: Vectors,
    split_reviews: pl.DataFrame,
) -> dict[str, Any]:
    """Recall, NDCG and MRR of what is served, beside its parts and the baselines."""
    from beauty_rec.evaluation.answer import ranking_document
    from beauty_rec.evaluation.yardsticks import AskedEvents, Recencies
    from beauty_rec.events.asked import known_events, refuse_other_events

    split = context.partition_key
    reviews, events = known_events(split_reviews, split, settings, user_tower)
    answered = recommendations["review_id"].unique()
    refuse_other_events("recommendations", split, answered.to_list(), events["review_id"].to_list())
    events = events.filter(pl.col("review_id").is_in(answered.implode()))
    _, valid = known_events(split_reviews, "valid", settings, user_tower)
    recencies = Recencies.chosen(AskedEvents.of(valid, reviews, item_vectors.ids))
    document = ranking_document(
        recommendations,
        events,
        reviews,
        item_vectors,
        settings.evaluation,
        recencies,
        held_out=split != "train",
    )
    context.add_asset_metadata(
        {
            **metrics_metadata(document["recommendation"], f"Recommendation, {split}"),
            **answer_metadata(document["answer"], split),
            **served_orders(recommendations),
            **{f"reranker {k}": v for k, v in document["reranker"].items() if v is not None},
        }
    )
    return document


checks = [
    facts_check(
        recommendations,
        "no_train_serve_skew",
        lambda facts, settings: verdicts.no_skew(facts, settings.checks),
        "A request's features are those of the batch, and lie where they lay in training.",
    ),
    *metric_checks(ranking_metrics, {"user_tower": "popularity", "reranked": "user_tower"}),
    *served_checks(ranking_metrics),
]
