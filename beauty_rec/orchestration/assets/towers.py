"""Assets [towers]: item tower, item vectors, user tower, and candidates of user events."""

import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.catalogue.samples import neighbours_metadata
from beauty_rec.orchestration.catalogue.trainings import epochs_metadata
from beauty_rec.orchestration.checks.make import vector_checks
from beauty_rec.orchestration.stage.partitions import splits
from beauty_rec.orchestration.stage.row_cache import reused_vectors
from beauty_rec.orchestration.stage.stage import stage
from beauty_rec.orchestration.storage.resources import (
    ArtifactStore,
    EncoderResource,
    ItemIndexResource,
)
from beauty_rec.settings import Settings

GROUP = "towers"
EVENTS = (
    "evaluation.max_queries",
    "evaluation.train_events",
    "evaluation.seed",
    "recommendation",
)
VOCABULARY = "vocabulary.json"


@stage(
    group=GROUP,
    io="models",
    settings=("item_tower", "attributes"),
    reads={"split_reviews": ["train"]},
    kinds=("pytorch",),
    gpu=True,
)
def item_tower(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    item_attributes: pl.DataFrame,
    vocabulary: Path,
    merged_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
    user_profiles: pl.DataFrame,
) -> Path:
    """SimCSE encoder of items: cross-attention of STD over RE values and title tokens."""
    from beauty_rec.towers.items.inputs import item_inputs
    from beauty_rec.towers.items.titles import load_title_reader
    from beauty_rec.towers.items.train import train_item_tower

    train = split_reviews.filter(split="train").collect()
    inputs = item_inputs(item_attributes, vocabulary, merged_items, train, user_profiles, settings)
    target = store.draft("item_tower")
    log = train_item_tower(
        inputs.features,
        inputs.vocabulary_size,
        load_title_reader(inputs.features.titles, settings.item_tower),
        settings.item_tower,
        target,
        inputs.classes,
        store.checkpoints("item_tower"),
    )
    context.add_asset_metadata(
        epochs_metadata(
            "Item tower",
            log["epochs"],
            ("loss", "alignment", "uniformity", "purity"),
            settings.item_tower,
            parameters=log["parameters"],
            items=len(inputs.features.std),
            values=inputs.vocabulary_size,
        )
    )
    # Later items are encoded with the ids that the tower knows: the vocabulary only grows.
    shutil.copyfile(vocabulary, target / VOCABULARY)
    return target


@stage(
    group=GROUP,
    io="folders",
    settings=("item_tower.event_values", "attributes"),
    reads={"split_reviews": ["train"]},
    kinds=("pytorch", "numpy"),
    gpu=True,
)
def item_vectors(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    item_tower: Path,
    item_attributes: pl.DataFrame,
    merged_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
    user_profiles: pl.DataFrame,
) -> Vectors:
    """L2-normalised tower vectors of all items."""
    from beauty_rec.towers.items.inputs import item_inputs
    from beauty_rec.towers.items.served import item_vectors, load_item_tower
    from beauty_rec.towers.items.titles import load_title_reader

    train = split_reviews.filter(split="train").collect()
    features = item_inputs(
        item_attributes, item_tower / VOCABULARY, merged_items, train, user_profiles, settings
    ).features

    def encode(rows: list[int]) -> NDArray[np.float32]:
        part = features.take(rows)
        titles = load_title_reader(part.titles, settings.item_tower, item_tower)
        return item_vectors(load_item_tower(item_tower), titles, part).matrix

    matrix = reused_vectors(context, settings, item_tower, features.contents(), encode)
    vectors = Vectors(features.ids, matrix)
    context.add_asset_metadata(neighbours_metadata(vectors, merged_items))
    return vectors


@stage(
    group=GROUP,
    io="models",
    settings=("user_tower", "encoder", "recommendation"),
    reads={"split_reviews": ["train", "valid"]},
    kinds=("pytorch",),
    gpu=True,
)
def user_tower(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    item_vectors: Vectors,
    item_embeddings: Vectors,
    text_retriever: Path,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
) -> Path:
    """Behaviour, context and profile fused into the item space; one more tower for each fold."""
    from beauty_rec.towers.users.train.folds import train_with_folds

    target = store.draft("user_tower")
    log = train_with_folds(
        split_reviews.filter(pl.col("split") != "test"),
        item_vectors,
        item_embeddings,
        text_retriever,
        user_profiles,
        settings,
        target,
        store.checkpoints("user_tower"),
    )
    valid_recall = log["valid_recall"]
    context.add_asset_metadata(
        epochs_metadata(
            "User tower",
            log["epochs"],
            ("loss", "valid_recall", "valid recall@100"),
            settings.user_tower,
            parameters=log["parameters"],
            train_events=log["train_events"],
            best_epoch=log["best_epoch"],
            text_weight=float(log["text_weight"]),
            past_weight=float(log["past_weight"]),
            past_text_weight=float(log["past_text_weight"]),
            newcomer_weight=float(log["newcomer_weight"]),
            columns=", ".join(log["columns"]),
            **({} if valid_recall is None else {"valid recall@100": float(valid_recall)}),
        )
    )
    return target


@stage(
    group=GROUP,
    io="frames",
    settings=("encoder", "ranking.train_candidates", *EVENTS),
    reads={"split_reviews": ["own", "train", "valid"]},
    partitions_def=splits,
    kinds=("postgres", "polars"),
    gpu=True,
    retries=True,
)
def user_candidates(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    encoder: EncoderResource,
    pgvector: ItemIndexResource,
    user_tower: Path,
    item_index: Path,
    text_retriever: Path,
    item_vectors: Vectors,
    item_embeddings: Vectors,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
) -> pl.DataFrame:
    """Top 100 unseen items of each event; more of a train event, by a tower that never saw it."""
    from beauty_rec.events.asked import asked_events
    from beauty_rec.retriever.contexts import context_vectors, with_text_scores
    from beauty_rec.search.exact import ExactIndex
    from beauty_rec.search.near_ties import SLACK
    from beauty_rec.search.protocol import recall_against_exact
    from beauty_rec.towers.users.candidates import event_requests, listed_candidates
    from beauty_rec.towers.users.fold_candidates import fold_candidates
    from beauty_rec.towers.users.item_matrix import ItemMatrix
    from beauty_rec.towers.users.layout import SERVED
    from beauty_rec.towers.users.served import ServedUserTower

    reviews, events = asked_events(split_reviews, context.partition_key, settings, user_tower)
    loaded = encoder.load(text_retriever, settings.encoder)
    contexts = context_vectors(loaded, events["context"])
    k = settings.user_tower.candidates
    if context.partition_key == "train":
        found = fold_candidates(
            user_tower,
            events,
            reviews,
            contexts,
            user_profiles,
            item_vectors,
            item_embeddings,
            max(k, settings.ranking.train_candidates),
        )
    else:
        served = ServedUserTower.load(user_tower / SERVED, ItemMatrix.load(item_index))
        requests = event_requests(
            served, reviews, contexts, user_profiles, events["review_id"].to_list()
        )
        with pgvector.served(settings.item_index) as index:
            answer = index.search(requests.vectors, k + SLACK, exclude=requests.seen_ids())
            recall = recall_against_exact(
                index, ExactIndex(served.items.vectors), requests.vectors[:200], k
            )
        found = listed_candidates(requests, answer.ids, answer.scores, k)
        context.add_asset_metadata({"index_recall_vs_exact@100": recall})
    context.add_asset_metadata({"events": events.height})
    asked = events.select("review_id", "context")
    return with_text_scores(found, asked, contexts, item_embeddings).rename(
        {"score": "tower_score", "rank": "tower_rank"}
    )


checks = vector_checks(item_vectors)
