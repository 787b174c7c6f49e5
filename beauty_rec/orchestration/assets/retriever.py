"""[retriever] From item texts to a fine-tuned encoder and its vectors."""

from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.partitions import only
from beauty_rec.orchestration.reused import reused_vectors
from beauty_rec.orchestration.stage import stage
from beauty_rec.settings import Settings

GROUP = "retriever"
ENCODER = "retriever/encoder.py"
QUERIES = ("evaluation.min_query_chars", "evaluation.max_queries", "evaluation.seed")
GPU_POOL = "gpu"


@stage(
    group=GROUP,
    io="folders",
    code=(ENCODER,),
    settings=("encoder",),
    kinds=("huggingface", "numpy"),
    pool=GPU_POOL,
)
def base_embeddings(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    merged_items: pl.DataFrame,
) -> Vectors:
    """Item vectors of the encoder as it was before fine-tuning: the baseline."""
    return _embed(context, merged_items, settings.encoder.model, settings)


@stage(
    group=GROUP,
    io="frames",
    code=("retriever/pairs.py", "items/text.py"),
    settings=("pairs", "item_text", "encoder"),
    reads={"split_reviews": ["train"]},
    ins={"keywords": dg.AssetIn(partition_mapping=only("train"))},
    kinds=("parquet", "polars"),
)
def training_pairs(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    split_reviews: pl.LazyFrame,
    keywords: pl.DataFrame,
    raw_items: pl.DataFrame,
    item_attributes: pl.DataFrame,
    merged_items: pl.DataFrame,
) -> pl.DataFrame:
    """(query, item text) pairs; the text leaves out what the query's own review gave it."""
    from beauty_rec.retriever.encoder import TextEncoder
    from beauty_rec.retriever.pairs import training_pairs

    reviews = split_reviews.filter(split="train").collect()
    encoder = TextEncoder.load(settings.encoder.model, settings.encoder)
    pairs = training_pairs(
        reviews,
        keywords,
        raw_items,
        settings.pairs,
        settings.item_text,
        encoder.count_tokens,
        item_attributes,
    )
    context.add_asset_metadata({"train_reviews": reviews.height, "pairs": pairs.height})
    return pairs


@stage(
    group=GROUP,
    io="models",
    code=("retriever", "evaluation/retrieval.py"),
    settings=("encoder", "fine_tune", *QUERIES),
    reads={"split_reviews": ["valid"]},
    kinds=("pytorch", "huggingface"),
    deps=[dg.AssetDep("keywords", partition_mapping=only("valid"))],
    pool=GPU_POOL,
)
def text_retriever(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    training_pairs: pl.DataFrame,
    merged_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
) -> Path:
    """The encoder, fine-tuned with in-batch negatives; stopped early by Recall@100 on valid."""
    from beauty_rec.evaluation.retrieval import split_queries, validation_recall
    from beauty_rec.retriever.finetune import fine_tune

    valid = split_queries(
        split_reviews.filter(split="valid").collect(), "valid", settings.evaluation
    )
    models = settings.data_dir / "models"
    target = models / ".drafts" / "text_retriever"
    log = fine_tune(
        training_pairs,
        settings.encoder,
        settings.fine_tune,
        target,
        models / ".checkpoints" / "text_retriever",
        lambda encoder: validation_recall(encoder, valid, merged_items),
    )
    context.add_asset_metadata(
        {
            "pairs": log.pairs,
            "steps": len(log.losses),
            "best_step": log.best_step,
            "model_card": dg.MetadataValue.md((target / "README.md").read_text(encoding="utf-8")),
            **({"loss": log.losses[-1]} if log.losses else {}),
            **({"valid recall@100": max(s for _, s in log.evaluations)} if log.evaluations else {}),
            **({"note": log.note} if log.note else {}),
        }
    )
    return target


@stage(
    group=GROUP,
    io="folders",
    code=(ENCODER,),
    settings=("encoder",),
    kinds=("huggingface", "numpy"),
    pool=GPU_POOL,
)
def item_embeddings(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    text_retriever: Path,
    merged_items: pl.DataFrame,
) -> Vectors:
    """L2-normalised item vectors of the fine-tuned encoder."""
    return _embed(context, merged_items, text_retriever, settings)


def _embed(
    context: dg.AssetExecutionContext,
    merged_items: pl.DataFrame,
    encoder: str | Path,
    settings: Settings,
) -> Vectors:
    texts = merged_items["text"].to_list()

    def encode(rows: list[int]) -> NDArray[np.float32]:
        from beauty_rec.retriever.encoder import TextEncoder

        loaded = TextEncoder.load(encoder, settings.encoder)
        return loaded.encode_items([texts[row] for row in rows])

    vectors = reused_vectors(context, settings, encoder, texts, encode)
    return Vectors(merged_items["parent_asin"].to_list(), vectors)
