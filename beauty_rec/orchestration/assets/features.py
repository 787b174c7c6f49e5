"""[features] What reviews and items say, in words that a model can use."""

import dagster as dg
import polars as pl

from beauty_rec.orchestration.partitions import only, splits
from beauty_rec.orchestration.stage import stage
from beauty_rec.settings import Settings

GROUP = "features"


@stage(
    group=GROUP,
    io="frames",
    code=("keywords",),
    settings=("keywords",),
    reads={"split_reviews": ["own"]},
    partitions_def=splits,
    kinds=("parquet", "polars"),
)
def keywords(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    split_reviews: pl.LazyFrame,
) -> pl.DataFrame:
    """WHO / WHEN / WHY of each review of the split."""
    from beauty_rec.keywords.extractor import extract_keywords
    from beauty_rec.keywords.rules import RulesExtractor

    reviews = split_reviews.filter(split=context.partition_key).collect()
    found = extract_keywords(reviews, RulesExtractor(settings.keywords.max_phrases))
    context.add_asset_metadata(
        {
            f"coverage_{facet}": found.filter(pl.col(facet).list.len() > 0).height / found.height
            for facet in ("who", "when", "why")
            if found.height
        }
    )
    return found


@stage(
    group=GROUP,
    io="frames",
    code=("items/text.py",),
    settings=("item_text", "encoder"),
    ins={"keywords": dg.AssetIn(partition_mapping=only("train"))},
    kinds=("parquet", "polars"),
)
def merged_items(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    raw_items: pl.DataFrame,
    keywords: pl.DataFrame,
) -> pl.DataFrame:
    """The text of each item: title, most telling train keywords, summary, features."""
    from beauty_rec.items.text import merge_items
    from beauty_rec.retriever.encoder import TextEncoder

    encoder = TextEncoder.load(settings.encoder.model, settings.encoder)
    merged = merge_items(raw_items, None, keywords, settings.item_text, encoder.count_tokens)
    described = merged.join(raw_items, on="parent_asin", how="semi").height
    context.add_asset_metadata(
        {
            "items_with_metadata": described,
            "items_from_reviews_only": merged.height - described,
            "metadata_items_without_text": raw_items.height - described,
        }
    )
    return merged
