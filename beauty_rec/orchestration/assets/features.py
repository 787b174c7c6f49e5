"""[features] What reviews and items say, in words that a model can use."""

from pathlib import Path

import dagster as dg
import polars as pl

from beauty_rec.orchestration.partitions import only, splits
from beauty_rec.orchestration.reading import examples, reading_metadata, stops_are_final
from beauty_rec.orchestration.stage import stage
from beauty_rec.settings import Settings

GROUP = "features"
GPU_POOL = "gpu"
"""Held while a language model server runs that was started here."""
ASKING = tuple(f"language/{name}.py" for name in ("answers", "guard", "prompt", "task"))


@stage(
    group=GROUP,
    io="frames",
    code=("keywords", *ASKING),
    settings=("keywords", "llm"),
    reads={"split_reviews": ["own"]},
    partitions_def=splits,
    pool=GPU_POOL,
    kinds=("parquet", "polars"),
)
def keywords(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    split_reviews: pl.LazyFrame,
) -> pl.DataFrame:
    """WHO / WHEN / WHY of each review of the split."""
    from beauty_rec.keywords.choice import open_extractor
    from beauty_rec.keywords.extractor import extract_keywords

    reviews = split_reviews.filter(split=context.partition_key)
    with open_extractor(settings) as extractor, stops_are_final():
        found = extract_keywords(reviews, extractor)
        context.add_asset_metadata(reading_metadata(extractor, found))
    texts = reviews.select("review_id", "title", "text").collect()
    shown = found.drop("parent_asin").join(texts, on="review_id", maintain_order="left")
    context.add_asset_metadata(
        {
            "examples": examples(shown.select("title", "text", "who", "when", "why", "source")),
            **{
                f"coverage_{facet}": (found[facet].list.len() > 0).mean()
                for facet in ("who", "when", "why")
                if found.height
            },
        }
    )
    return found


@stage(
    group=GROUP,
    io="frames",
    code=("items", *ASKING),
    settings=("attributes", "llm"),
    reads={"split_reviews": ["train"]},
    ins={"keywords": dg.AssetIn(partition_mapping=only("train"))},
    pool=GPU_POOL,
    kinds=("parquet", "polars", "pydantic"),
)
def item_attributes(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    raw_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
    keywords: pl.DataFrame,
    user_profiles: pl.DataFrame,
) -> pl.DataFrame:
    """STD and RE attributes of each item, with what train events say of it, and a summary."""
    from beauty_rec.items.attributes import choose_domain, item_attributes
    from beauty_rec.items.choice import open_attribute_extractor

    domain = choose_domain(raw_items, settings.attributes.domain)
    with open_attribute_extractor(settings, domain) as extractor, stops_are_final():
        found = item_attributes(
            extractor,
            raw_items,
            split_reviews.filter(split="train").collect(),
            keywords,
            user_profiles,
            settings.attributes,
        )
        context.add_asset_metadata(reading_metadata(extractor, found))
    lists = [name for name, dtype in found.schema.items() if dtype == pl.List(pl.String)]
    context.add_asset_metadata(
        {
            "domain": domain.name,
            "examples": examples(found),
            "values_per_item": {
                name: round(float(found[name].list.len().sum()) / max(1, found.height), 3)
                for name in lists
            },
        }
    )
    return found


@stage(
    group=GROUP,
    io="documents",
    code=("items/vocabulary.py",),
    settings=("vocabulary",),
    kinds=("json",),
)
def vocabulary(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    item_attributes: pl.DataFrame,
) -> Path:
    """Ids of STD and RE values; grown from the vocabulary before, whose ids never move."""
    from beauty_rec.items.vocabulary import Vocabulary

    processed = settings.data_dir / "processed"
    known = processed / "vocabulary.json"
    grown = Vocabulary.build(
        item_attributes, Vocabulary.load(known) if known.exists() else None, settings.vocabulary
    )
    draft = processed / ".drafts" / "vocabulary.json"
    grown.save(draft)
    context.add_asset_metadata({"dagster/row_count": len(grown), "version": grown.version})
    return draft


@stage(
    group=GROUP,
    io="frames",
    code=("items/text.py", "items/keyword_ranking.py"),
    settings=("item_text", "encoder"),
    ins={"keywords": dg.AssetIn(partition_mapping=only("train"))},
    kinds=("parquet", "polars"),
)
def merged_items(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    raw_items: pl.DataFrame,
    item_attributes: pl.DataFrame,
    keywords: pl.DataFrame,
) -> pl.DataFrame:
    """The text of each item: title, most telling train keywords, summary, features."""
    from beauty_rec.items.text import merge_items
    from beauty_rec.retriever.encoder import TextEncoder

    encoder = TextEncoder.load(settings.encoder.model, settings.encoder)
    merged = merge_items(
        raw_items, item_attributes, keywords, settings.item_text, encoder.count_tokens
    )
    described = merged.join(raw_items, on="parent_asin", how="semi").height
    context.add_asset_metadata(
        {
            "items_with_metadata": described,
            "items_from_reviews_only": merged.height - described,
            "metadata_items_without_text": raw_items.height - described,
        }
    )
    return merged
