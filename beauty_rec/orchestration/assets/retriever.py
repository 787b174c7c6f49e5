"""Assets [retriever]: training pairs, the text encoder fine-tuned on them, item embeddings."""

from pathlib import Path

import dagster as dg
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.measures.vectors import mean_cosine
from beauty_rec.orchestration.catalogue.samples import neighbours_metadata
from beauty_rec.orchestration.catalogue.trainings import training_metadata
from beauty_rec.orchestration.checks import verdicts
from beauty_rec.orchestration.checks.make import facts_check, value_check, vector_checks
from beauty_rec.orchestration.stage.embedding import embedded
from beauty_rec.orchestration.stage.partitions import only
from beauty_rec.orchestration.stage.stage import stage, used_code_version
from beauty_rec.orchestration.storage.resources import EncoderResource
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings

GROUP = "retriever"
TEXTS = ("review_id", "parent_asin", "rating", "text", "split")  # what pairs and queries read
CLOSE = 0.9
"""Mean cosine of different items beyond which it is asked whether they were as alike before."""
COMPARED = 500
"""Of so many items at least, or of all, that is asked of the encoder of before."""
QUERIES = ("evaluation.min_query_chars", "evaluation.max_queries", "evaluation.seed")


@stage(
    group=GROUP,
    io="folders",
    settings=("encoder",),
    kinds=("huggingface", "numpy"),
    gpu=True,
)
def base_embeddings(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    encoder: EncoderResource,
    merged_items: pl.DataFrame,
) -> Vectors:
    """Item vectors of the encoder as it was before fine-tuning: the baseline."""
    return _embed(context, encoder, settings.encoder.model, merged_items, settings)


@stage(
    group=GROUP,
    io="frames",
    settings=("pairs", "item_text", "encoder"),
    reads={"split_reviews": ["train"]},
    ins={"keywords": dg.AssetIn(partition_mapping=only("train"))},
    kinds=("parquet", "polars"),
)
def training_pairs(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    encoder: EncoderResource,
    split_reviews: pl.LazyFrame,
    keywords: pl.DataFrame,
    raw_items: pl.DataFrame,
    item_attributes: pl.DataFrame,
) -> pl.DataFrame:
    """(query, item text) pairs; the text leaves out what the query's own review gave it."""
    from beauty_rec.retriever.pairs import training_pairs

    reviews = split_reviews.filter(split="train").select(TEXTS).collect()
    loaded = encoder.load(settings.encoder.model, settings.encoder)
    pairs = training_pairs(
        reviews,
        keywords,
        raw_items,
        settings.pairs,
        settings.item_text,
        loaded.count_tokens,
        item_attributes,
    )
    context.add_asset_metadata({"train_reviews": reviews.height, "pairs": pairs.height})
    return pairs


@stage(
    group=GROUP,
    io="models",
    settings=("encoder", "fine_tune", *QUERIES),
    reads={"split_reviews": ["valid"]},
    kinds=("pytorch", "huggingface"),
    gpu=True,
    gpus="fine_tune.processes",
)
def text_retriever(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    training_pairs: pl.DataFrame,
    merged_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
) -> Path:
    """The encoder, fine-tuned with in-batch negatives; stopped early by Recall@100 on valid."""
    from beauty_rec.evaluation.tuning import tuned_retriever
    from beauty_rec.events.asked import split_queries

    valid = split_queries(
        split_reviews.filter(split="valid").select(TEXTS).collect(), "valid", settings.evaluation
    )
    target = store.draft("text_retriever")
    log = tuned_retriever(
        training_pairs,
        valid,
        merged_items,
        settings.encoder,
        settings.fine_tune,
        target,
        store.checkpoints("text_retriever", used_code_version(context)),
        settings.gpu.visible_devices,
    )
    card = (target / "README.md").read_text(encoding="utf-8")
    context.add_asset_metadata(
        {
            **training_metadata(log),
            "pairs": log.pairs,
            "pairs_in_no_batch": log.left_out,
            "steps": len(log.losses),
            "best_step": log.best_step,
            **({"note": log.note} if log.note else {}),
            # Without the front matter, which a Markdown page would show as a headline.
            "model_card": dg.MetadataValue.md(card.split("---\n", 2)[-1]),
        }
    )
    return target


@stage(
    group=GROUP,
    io="folders",
    settings=("encoder",),
    kinds=("huggingface", "numpy"),
    gpu=True,
)
def item_embeddings(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    encoder: EncoderResource,
    text_retriever: Path,
    merged_items: pl.DataFrame,
) -> Vectors:
    """L2-normalised item vectors of the fine-tuned encoder."""
    vectors = _embed(context, encoder, text_retriever, merged_items, settings)
    if mean_cosine(vectors.matrix) > CLOSE:
        texts = merged_items["text"].gather_every(max(1, merged_items.height // COMPARED))
        base = encoder.load(settings.encoder.model, settings.encoder)
        found = mean_cosine(base.encode_items(texts.to_list()))
        context.add_asset_metadata({"mean_cosine_before_tuning": found})
    return vectors


def _embed(
    context: dg.AssetExecutionContext,
    encoder: EncoderResource,
    source: str | Path,
    merged_items: pl.DataFrame,
    settings: Settings,
) -> Vectors:
    """Return the vectors of the item texts; show some items with their nearest."""
    matrix = embedded(context, encoder, source, merged_items["text"].to_list(), settings)
    vectors = Vectors(merged_items["parent_asin"].to_list(), matrix)
    context.add_asset_metadata(neighbours_metadata(vectors, merged_items))
    return vectors


checks = [
    facts_check(
        training_pairs,
        "enough_pairs",
        lambda facts, settings: verdicts.at_least(
            facts[None].get("pairs", 0), settings.checks.min_pairs, "training pairs"
        ),
        "There are enough pairs to fine-tune with.",
    ),
    value_check(
        training_pairs,
        "no_empty_query",
        pl.DataFrame,
        lambda frame, _: verdicts.no_empty(frame, "query"),
        "Every pair asks something.",
    ),
    *vector_checks(base_embeddings, baseline=True),
    *vector_checks(item_embeddings, learned=True),
]
