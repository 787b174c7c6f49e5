"""[towers] Items and users in one space, and what each user event finds there."""

from pathlib import Path

import dagster as dg
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.partitions import splits
from beauty_rec.orchestration.stage import stage
from beauty_rec.settings import Settings

GROUP = "towers"
GPU_POOL = "gpu"
EVENTS = (
    "evaluation.max_queries",
    "evaluation.train_events",
    "evaluation.seed",
    "recommendation",
)


@stage(
    group=GROUP,
    io="models",
    code=("towers",),
    settings=("item_tower", "attributes"),
    reads={"split_reviews": ["train"]},
    kinds=("pytorch",),
    pool=GPU_POOL,
)
def item_tower(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    item_attributes: pl.DataFrame,
    vocabulary: Path,
    merged_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
    user_profiles: pl.DataFrame,
) -> Path:
    """SimCSE encoder of items: cross-attention of STD over RE values and title tokens."""
    from beauty_rec.towers.item_inputs import item_inputs
    from beauty_rec.towers.title_reader import load_title_reader
    from beauty_rec.towers.train_item_tower import train_item_tower

    train = split_reviews.filter(split="train").collect()
    inputs = item_inputs(item_attributes, vocabulary, merged_items, train, user_profiles, settings)
    models = settings.data_dir / "models"
    target = models / ".drafts" / "item_tower"
    log = train_item_tower(
        inputs.features,
        inputs.vocabulary_size,
        load_title_reader(inputs.features.titles, settings.item_tower),
        settings.item_tower,
        target,
        inputs.classes,
        models / ".checkpoints" / "item_tower",
    )
    context.add_asset_metadata({"parameters": log["parameters"], **_last_numbers(log["epochs"])})
    return target


@stage(
    group=GROUP,
    io="folders",
    code=("towers/item_tower.py", "towers/train_item_tower.py", "towers/item_inputs.py"),
    settings=("item_tower.event_values", "attributes"),
    reads={"split_reviews": ["train"]},
    kinds=("pytorch", "numpy"),
    pool=GPU_POOL,
)
def item_vectors(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    item_tower: Path,
    item_attributes: pl.DataFrame,
    vocabulary: Path,
    merged_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
    user_profiles: pl.DataFrame,
) -> Vectors:
    """L2-normalised tower vectors of all items."""
    from beauty_rec.towers.item_inputs import item_inputs
    from beauty_rec.towers.title_reader import load_title_reader
    from beauty_rec.towers.train_item_tower import item_vectors, load_item_tower

    train = split_reviews.filter(split="train").collect()
    inputs = item_inputs(item_attributes, vocabulary, merged_items, train, user_profiles, settings)
    titles = load_title_reader(inputs.features.titles, settings.item_tower, item_tower)
    return item_vectors(load_item_tower(item_tower), titles, inputs.features)


@stage(
    group=GROUP,
    io="models",
    code=("towers", "retriever/contexts.py"),
    settings=("user_tower", "encoder", "recommendation"),
    reads={"split_reviews": ["train", "valid"]},
    kinds=("pytorch",),
    pool=GPU_POOL,
)
def user_tower(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    item_vectors: Vectors,
    item_embeddings: Vectors,
    text_retriever: Path,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
) -> Path:
    """Behaviour, context and profile fused into the item space; one more tower for each fold."""
    from beauty_rec.towers.folds import train_with_folds

    models = settings.data_dir / "models"
    target = models / ".drafts" / "user_tower"
    log = train_with_folds(
        split_reviews.filter(pl.col("split") != "test"),
        item_vectors,
        item_embeddings,
        text_retriever,
        user_profiles,
        settings,
        target,
        models / ".checkpoints" / "user_tower",
    )
    context.add_asset_metadata(
        {
            "parameters": log["parameters"],
            "train_events": log["train_events"],
            "best_epoch": log["best_epoch"],
            "text_weight": log["text_weight"],
            "past_weight": log["past_weight"],
            "past_text_weight": log["past_text_weight"],
            **({} if log["valid_recall"] is None else {"valid recall@100": log["valid_recall"]}),
            "columns": log["columns"],
            **_last_numbers(log["epochs"]),
        }
    )
    return target


@stage(
    group=GROUP,
    io="frames",
    code=("towers", "retriever/contexts.py", "evaluation/protocol.py"),
    settings=("encoder", *EVENTS),
    reads={"split_reviews": ["own", "train", "valid"]},
    partitions_def=splits,
    kinds=("postgres", "polars"),
    pool=GPU_POOL,
)
def user_candidates(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    user_tower: Path,
    item_index: Path,
    text_retriever: Path,
    item_vectors: Vectors,
    item_embeddings: Vectors,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
) -> pl.DataFrame:
    """Top 100 unseen items of each event; of train, of the events that no tower of theirs saw."""
    from beauty_rec.evaluation.recommendation import split_events
    from beauty_rec.indexes.exact import ExactIndex
    from beauty_rec.indexes.pgvector import open_current
    from beauty_rec.indexes.postgres_server import postgres
    from beauty_rec.indexes.protocol import recall_against_exact
    from beauty_rec.indexes.ties import SLACK
    from beauty_rec.retriever.contexts import context_vectors, with_text_scores
    from beauty_rec.retriever.encoder import TextEncoder
    from beauty_rec.towers.event_requests import event_requests, listed_candidates
    from beauty_rec.towers.folds import SERVED, first_fold, fold_candidates, with_context
    from beauty_rec.towers.item_matrix import ItemMatrix
    from beauty_rec.towers.served_user_tower import ServedUserTower

    reviews = with_context(split_reviews, settings)
    since = first_fold(user_tower) if context.partition_key == "train" else None
    events = split_events(reviews, context.partition_key, settings.evaluation, since)
    encoder = TextEncoder.load(text_retriever, settings.encoder)
    contexts = context_vectors(encoder, events["context"])
    k = settings.user_tower.candidates
    if context.partition_key == "train":
        found = fold_candidates(
            user_tower, events, reviews, contexts, user_profiles, item_vectors, item_embeddings, k
        )
    else:
        served = ServedUserTower.load(user_tower / SERVED, ItemMatrix.load(item_index))
        requests = event_requests(
            served, reviews, contexts, user_profiles, events["review_id"].to_list()
        )
        with (
            postgres(settings.data_dir / "postgres", settings.item_index.dsn) as dsn,
            open_current(dsn, settings.item_index) as index,
        ):
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


def _last_numbers(epochs: list[dict[str, float]]) -> dict[str, float]:
    """Return the figures of the last epoch, as metadata that is plotted over time."""
    last = epochs[-1] if epochs else {}
    return {name: float(value) for name, value in last.items() if value is not None}
