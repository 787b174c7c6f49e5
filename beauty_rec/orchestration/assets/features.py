"""Assets [features]: keywords of reviews, attributes, vocabulary and texts of items."""

from pathlib import Path

import dagster as dg
import polars as pl

from beauty_rec.artifacts import content_hash, write_rows
from beauty_rec.orchestration.catalogue.language_model import (
    EXAMPLES,
    examples,
    reading_metadata,
    stops_are_final,
)
from beauty_rec.orchestration.catalogue.markdown import frame_metadata
from beauty_rec.orchestration.catalogue.samples import frequent_metadata
from beauty_rec.orchestration.checks import verdicts
from beauty_rec.orchestration.checks.make import facts_check, value_check
from beauty_rec.orchestration.stage.partitions import only, splits
from beauty_rec.orchestration.stage.row_cache import reused_keywords, reused_rows
from beauty_rec.orchestration.stage.stage import GPU_POOL, stage, used_code_version
from beauty_rec.orchestration.storage.contents import earlier, side_product
from beauty_rec.orchestration.storage.resources import EncoderResource, LanguageModelResource
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings

GROUP = "features"
COUNTED = 4_096  # texts, about, whose tokens are counted for the metadata
READ_OF_EVENTS = ("review_id", "parent_asin", "user_id", "context", "extras", "split")


@stage(
    group=GROUP,
    io="frames",
    settings=("keywords", "llm"),
    reads={"split_reviews": ["own"]},
    partitions_def=splits,
    pool=GPU_POOL,  # a language model server that is started here fills the GPU
    kinds=("parquet", "polars"),
)
def keywords(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    language_model: LanguageModelResource,
    split_reviews: pl.LazyFrame,
) -> Path:
    """WHO / WHEN / WHY of each review of the split."""
    from beauty_rec.keywords.extractor import extract_keywords
    from beauty_rec.keywords.rules import rules_reader

    reviews = split_reviews.filter(split=context.partition_key)
    draft = store.draft(f"keywords-{context.partition_key}.parquet")
    with language_model.keyword_extractor(settings) as extractor, stops_are_final():
        if settings.llm.backend == "rules":
            reused_keywords(
                context,
                settings,
                extractor.source,
                reviews,
                rules_reader,
                (settings.keywords.max_phrases,),
                draft,
            )
        else:  # its own store of answers asks nothing twice
            write_rows(extract_keywords(reviews, extractor), draft)
        found = pl.scan_parquet(draft, glob=False)
        context.add_asset_metadata(reading_metadata(extractor, found))
    facts = frame_metadata("keywords", found)
    context.add_asset_metadata(facts)
    rows = facts["dagster/row_count"]
    picked = found.gather_every(max(1, rows // EXAMPLES)).head(EXAMPLES).collect()
    texts = reviews.select("review_id", "title", "text")
    texts = texts.filter(pl.col("review_id").is_in(picked["review_id"].implode()))
    shown = picked.join(texts.collect(), on="review_id", maintain_order="left")
    shown = shown.select("title", "text", "who", "when", "why", "source")
    context.add_asset_metadata({"examples": examples(shown)})
    facets = {facet: pl.col(facet).list.len() > 0 for facet in ("who", "when", "why")}
    covered = {**facets, "any": pl.any_horizontal(list(facets.values()))}
    if rows:
        means = found.select(**{name: said.mean() for name, said in covered.items()})
        shares = means.collect(engine="streaming").row(0)
        context.add_asset_metadata(
            {f"coverage_{name}": share for name, share in zip(covered, shares, strict=True)}
        )
    context.add_asset_metadata(frequent_metadata(found, list(facets)))
    return draft


@stage(
    group=GROUP,
    io="frames",
    settings=("attributes", "llm"),
    reads={"split_reviews": ["train"]},
    ins={"keywords": dg.AssetIn(partition_mapping=only("train"))},
    pool=GPU_POOL,  # a language model server that is started here fills the GPU
    kinds=("parquet", "polars", "pydantic"),
)
def item_attributes(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    language_model: LanguageModelResource,
    raw_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
    keywords: pl.LazyFrame,
    user_profiles: pl.DataFrame,
) -> pl.DataFrame:
    """STD and RE attributes of each item, with what train events say of it, and a summary."""
    from beauty_rec.items.attributes import choose_domain, coverage, item_attributes

    domain = choose_domain(raw_items, settings.attributes.domain)
    read = set(READ_OF_EVENTS) & set(split_reviews.collect_schema().names())
    train = split_reviews.filter(split="train").select(sorted(read)).collect()
    with (
        language_model.attribute_extractor(settings, domain) as extractor,
        stops_are_final(),
        # Rules need no model, only the words of their domain.
        reused_rows(context, settings, "rules", domain) as reused,
    ):
        found = item_attributes(
            extractor,
            raw_items,
            train,
            keywords,
            user_profiles,
            settings.attributes,
            reused=reused,
        )
        context.add_asset_metadata(reading_metadata(extractor, found))
    lists = [name for name, dtype in found.schema.items() if dtype == pl.List(pl.String)]
    items = max(1, found.height)
    context.add_asset_metadata(
        {
            "domain": domain.name,
            "coverage_any": coverage(found, domain),
            "examples": examples(found),
            **{
                f"values per item {name}": float(found[name].list.len().sum()) / items
                for name in lists
            },
        }
    )
    return found


@stage(
    group=GROUP,
    io="documents",
    settings=("vocabulary",),
    kinds=("json",),
)
def vocabulary(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    item_attributes: pl.DataFrame,
) -> Path:
    """Ids of STD and RE values; grown from the vocabulary before, whose ids never move."""
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.recommender.online.sets.parts import VOCABULARY
    from beauty_rec.serving.published.manifest import published_part

    known = earlier(context, store.get("processed/vocabulary.json"))
    if known is None:  # trained models hold its ids, and so does what is served
        known = published_part(settings.data_dir / "serving", VOCABULARY)
    grown = Vocabulary.build(
        item_attributes, Vocabulary.load(known) if known else None, settings.vocabulary
    )
    draft = store.draft("vocabulary.json")
    grown.save(draft)
    context.add_asset_metadata({"dagster/row_count": len(grown), "version": grown.version})
    return draft


@stage(
    group=GROUP,
    io="frames",
    settings=("item_text", "encoder"),
    ins={"keywords": dg.AssetIn(partition_mapping=only("train"))},
    kinds=("parquet", "polars"),
)
def merged_items(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    encoder: EncoderResource,
    raw_items: pl.LazyFrame,
    item_attributes: pl.DataFrame,
    keywords: pl.LazyFrame,
) -> pl.DataFrame:
    """The text of each item: title, most telling train keywords, summary, features."""
    from beauty_rec.items.steady_background import steady_background
    from beauty_rec.items.text import merge_items

    loaded = encoder.load(settings.encoder.model, settings.encoder)
    with store.shared("processed/word_background.json") as path:
        background = steady_background(path, keywords, used_code_version(context))
    context.add_asset_metadata(side_product(path, "processed/word_background.json"))
    with reused_rows(context, settings, settings.encoder.model, content_hash(path)) as reused:
        merged = merge_items(
            raw_items,
            item_attributes,
            keywords,
            settings.item_text,
            loaded.count_tokens,
            background,
            reused,
        )
    known = raw_items.select("parent_asin").collect()
    described = merged.join(known, on="parent_asin", how="semi").height
    some = merged["text"].gather_every(max(1, merged.height // COUNTED))
    context.add_asset_metadata(
        {
            "mean_tokens": sum(loaded.count_tokens(some.to_list())) / max(1, len(some)),
            "mean_keywords": float(merged["keywords"].list.len().mean() or 0.0),  # type: ignore[arg-type]
            "items_with_metadata": described,
            "items_from_reviews_only": merged.height - described,
            "metadata_items_without_text": known.height - described,
        }
    )
    return merged


checks = [
    facts_check(
        keywords,
        "keyword_coverage",
        lambda facts, settings: verdicts.coverage(
            facts,
            "coverage_any",
            settings.checks.min_keyword_coverage,
            "is the extractor right for these texts?",
        ),
        "Enough reviews of each split have a WHO, WHEN or WHY keyword.",
    ),
    value_check(
        item_attributes,
        "each_item_once",
        pl.LazyFrame,
        lambda frame, _: verdicts.unique(frame, ["parent_asin"]),
        "No item has two rows.",
    ),
    facts_check(
        item_attributes,
        "attribute_coverage",
        lambda facts, settings: verdicts.coverage(
            facts,
            "coverage_any",
            settings.checks.min_attribute_coverage,
            "is attributes.domain right for these items?",
        ),
        "Of enough items the domain's words tell an attribute.",
    ),
    value_check(
        merged_items,
        "each_item_once",
        pl.LazyFrame,
        lambda frame, _: verdicts.unique(frame, ["parent_asin"]),
        "No item has two texts.",
    ),
    value_check(
        merged_items,
        "no_empty_text",
        pl.LazyFrame,
        lambda frame, _: verdicts.no_empty(frame, "text"),
        "Every item that the retriever knows has a text.",
    ),
]
