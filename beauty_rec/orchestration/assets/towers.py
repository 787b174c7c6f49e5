"""Assets [towers]: item tower, item vectors, user tower, and candidates of user events."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.assets.raw import hidden_items_file
from beauty_rec.orchestration.catalogue.samples import neighbours_metadata
from beauty_rec.orchestration.catalogue.trainings import epochs_metadata, user_tower_metadata
from beauty_rec.orchestration.checks import verdicts
from beauty_rec.orchestration.checks.make import facts_check, vector_checks
from beauty_rec.orchestration.stage.embedding import KeptQueries
from beauty_rec.orchestration.stage.partitions import WITH_CONTEXTS, WITHOUT_TEXTS, splits
from beauty_rec.orchestration.stage.row_cache import reused_vectors
from beauty_rec.orchestration.stage.stage import stage, used_code_version
from beauty_rec.orchestration.storage.records import events_version
from beauty_rec.orchestration.storage.resources import EncoderResource
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings

GROUP = "towers"
EVENTS = (
    "ranking.history_length",
    "ranking.max_user_events",
    "evaluation.min_query_chars",
    "evaluation.max_queries",
    "evaluation.train_events",
    "evaluation.seed",
    "recommendation",
)


@stage(
    group=GROUP,
    io="models",
    settings=("item_tower", "attributes", "encoder.precision", "ranking.max_user_events"),
    reads={"split_reviews": ["train", "valid"]},
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
    base_embeddings: Vectors,
    split_reviews: pl.LazyFrame,
    user_profiles: pl.DataFrame,
) -> Path:
    """SimCSE encoder of items: cross-attention of STD over RE values and title tokens.

    Of valid it reads which items follow which: that chooses the share of the attribute space.
    """
    from beauty_rec.events.arrays import read_events
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.towers.items.inputs import item_inputs
    from beauty_rec.towers.items.served import VOCABULARY
    from beauty_rec.towers.items.titles import load_title_reader
    from beauty_rec.towers.items.train import train_item_tower
    from beauty_rec.towers.users.item_matrix import aligned
    from beauty_rec.training.device import device_of

    reviews = split_reviews.filter(pl.col("split") != "test").select(WITHOUT_TEXTS).collect()
    train = reviews.filter(split="train")
    known = Vocabulary.load(vocabulary)
    inputs = item_inputs(item_attributes, known, merged_items, train, user_profiles, settings)
    features = inputs.features
    target, device = store.draft("item_tower"), device_of(settings.encoder.device)
    log = train_item_tower(
        inputs,
        load_title_reader(
            features.titles,
            settings.item_tower,
            device=device,
            precision=settings.encoder.precision,
            scratch=Path(store.scratch),
        ),
        settings.item_tower,
        target,
        texts=aligned(base_embeddings, features.ids),
        held_out=(
            read_events(reviews, features.ids, max_user_events=settings.ranking.max_user_events),
            np.flatnonzero(reviews["split"].to_numpy() == "valid"),
        ),
        checkpoints=store.checkpoints("item_tower", used_code_version(context)),
        device=device,
        precision=settings.encoder.precision,
    )
    for note in log["notes"]:
        context.log.warning(note)
    context.add_asset_metadata(
        epochs_metadata(
            "Item tower",
            log["epochs"],
            ("loss", "alignment", "uniformity", "purity", "purity_category_shown"),
            settings.item_tower,
            log["references"],
            parameters=log["parameters"],
            steps=log["steps"],
            items=len(features),
            values=inputs.vocabulary_size,
            items_with_category=int((inputs.classes >= 0).sum()),
            distinct_items=log["distinct"],
            table_correlation=log["table_correlation"],
            table_std=log["table_std"],
            chosen_attribute_share=float(log["attribute_share"]),
            share_queries=log["share_queries"],
            **{
                f"valid recall@100 by share {share:g}": recall
                for share, recall in log["recall_by_share"].items()
            },
        )
    )
    # Which of the ids of a later day the tower has been trained with.
    shutil.copyfile(vocabulary, target / VOCABULARY)
    return target


@stage(
    group=GROUP,
    io="folders",
    settings=("item_tower.event_values", "attributes", "encoder.precision"),
    reads={"split_reviews": ["train"]},
    kinds=("pytorch", "numpy"),
    gpu=True,
)
def item_vectors(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    item_tower: Path,
    vocabulary: Path,
    item_attributes: pl.DataFrame,
    merged_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
    user_profiles: pl.DataFrame,
) -> Vectors:
    """L2-normalised tower vectors of all items; values newer than the tower get rows in it."""
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.towers.items.inputs import item_inputs
    from beauty_rec.towers.items.served import VOCABULARY, items_alike, todays_item_tower
    from beauty_rec.towers.items.titles import read_item_vectors
    from beauty_rec.training.device import device_of

    train = split_reviews.filter(split="train").select(WITHOUT_TEXTS).collect()
    tower, known = todays_item_tower(item_tower, Vocabulary.load(vocabulary))
    features = item_inputs(
        item_attributes, known, merged_items, train, user_profiles, settings
    ).features

    def encode(chunks: Iterable[list[int]]) -> Iterator[NDArray[np.float32]]:
        tower.to(device_of(settings.encoder.device))
        for rows in chunks:
            yield read_item_vectors(
                tower,
                item_tower,
                features.take(rows),
                precision=settings.encoder.precision,
                scratch=Path(store.scratch),
            )

    matrix = reused_vectors(context, settings, item_tower, features.contents(), encode)
    vectors = Vectors(features.ids, matrix)
    trained_with = len(Vocabulary.load(item_tower / VOCABULARY))
    context.add_asset_metadata(
        {
            **neighbours_metadata(vectors, merged_items),
            "values_since_training": len(known) - trained_with,
            "items_alike": items_alike(item_tower),
        }
    )
    return vectors


@stage(
    group=GROUP,
    io="models",
    settings=("user_tower", "encoder", "recommendation", "ranking.max_user_events"),
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
    past_items: Path,
    text_retriever: Path,
    split_reviews: pl.LazyFrame,
    user_profiles: pl.DataFrame,
) -> Path:
    """Behaviour, context and profile fused into the item space; one more tower for each fold."""
    from beauty_rec.towers.past.stored import PastItems
    from beauty_rec.towers.users.train.folds import train_with_folds
    from beauty_rec.training.device import device_of

    target = store.draft("user_tower")
    log = train_with_folds(
        split_reviews.filter(pl.col("split") != "test").select(WITH_CONTEXTS).collect(),
        item_vectors,
        item_embeddings,
        PastItems.load(past_items),
        text_retriever,
        user_profiles,
        settings,
        target,
        store.checkpoints("user_tower", used_code_version(context)),
        device_of(settings.encoder.device),
        Path(store.scratch),
    )
    context.add_asset_metadata(user_tower_metadata(log, settings.user_tower))
    return target


@stage(
    group=GROUP,
    io="frames",
    settings=("encoder", "ranking", *EVENTS),
    reads={"split_reviews": ["own", "train", "valid"]},
    partitions_def=splits,
    deps=[hidden_items_file],
    kinds=("polars",),
    gpu=True,
)
def user_candidates(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    encoder: EncoderResource,
    user_tower: Path,
    item_index: Path,
    lexical_index: Path,
    text_retriever: Path,
    item_embeddings: Vectors,
    past_items: Path,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
    vocabulary: Path,
    item_attributes: pl.DataFrame,
    raw_items: pl.DataFrame,
) -> pl.DataFrame:
    """Candidates of every source for each event, asked with its text and without it.

    An event of train is asked once, of a tower and of items that never saw it. Items that are never
    shown are candidates there alone.
    """
    from beauty_rec.corpus.hidden import read_hidden
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.ranking.features.knowledge import ItemKnowledge
    from beauty_rec.recommender.offline.split_candidates import (
        SplitInputs,
        found_shares,
        split_candidates,
    )
    from beauty_rec.retriever.item_words import ItemWords
    from beauty_rec.towers.past.stored import PastItems

    past = PastItems.load(past_items)
    inputs = SplitInputs(
        split_reviews,
        user_profiles,
        ItemKnowledge.of(
            item_attributes,
            raw_items,
            split_reviews,
            user_profiles,
            Vocabulary.load(vocabulary),
            settings,
            past.attributes,
        ),
        item_embeddings,
        past,
        settings,
    )
    lists = split_candidates(
        inputs,
        context.partition_key,
        user_tower,
        item_index,
        ItemWords.load(lexical_index),
        KeptQueries(
            context,
            settings,
            encoder.load(text_retriever, settings.encoder),
            text_retriever,
            "asks",
        ),
        read_hidden(settings.hidden_items),
    )
    shares = found_shares(lists, split_reviews)
    context.add_asset_metadata({"asks": len(lists), "candidates": len(lists.ask), **shares})
    # So that what tells of these events is told anew, though the candidates may be the same.
    events = events_version(context.instance, context.partition_key)
    return lists.frame().with_columns(events=pl.lit(events))


checks = [
    facts_check(
        item_tower,
        "learned",
        lambda facts, settings: verdicts.item_tower_learned(facts[None], settings.checks),
        "The table of attribute values moved, and items of one category came nearer each other.",
        blocking=True,
    ),
    *vector_checks(item_vectors, learned=True),
]
