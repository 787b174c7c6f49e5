"""Assets [index]: the vector indexes in ChromaDB and in pgvector."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors, write_text_atomic
from beauty_rec.orchestration.checks import verdicts
from beauty_rec.orchestration.checks.make import ByPart, facts_check
from beauty_rec.orchestration.stage.partitions import WITH_CONTEXTS
from beauty_rec.orchestration.stage.stage import stage
from beauty_rec.orchestration.storage.indexes import ItemIndexResource, TextIndexResource
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.search.protocol import IndexVersion
from beauty_rec.settings import Settings
from beauty_rec.verified import Verified

GROUP = "index"


@stage(
    group=GROUP,
    io="documents",
    settings=("text_index",),
    kinds=("chroma",),
    retries=True,
    served=True,
)
def text_index(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    chroma: TextIndexResource,
    item_embeddings: Vectors,
) -> dict[str, Any]:
    """The ChromaDB index of the item texts: built aside, verified, then switched to."""
    from beauty_rec.search.version import content_version

    version = content_version(item_embeddings, settings.text_index)
    context.set_data_version(context.asset_key, dg.DataVersion(version))
    built = chroma.build(item_embeddings, version, settings.text_index)
    return _reported(context, built, len(item_embeddings.ids))


@stage(
    group=GROUP,
    io="folders",
    settings=("item_index", "recommendation.context_from"),
    reads={"split_reviews": ["train"]},
    kinds=("postgres",),
    retries=True,
    served=True,
)
def item_index(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    pgvector: ItemIndexResource,
    user_tower: Path,
    item_vectors: Vectors,
    item_embeddings: Vectors,
    split_reviews: pl.LazyFrame,
    user_profiles: pl.DataFrame,
) -> Path:
    """The item matrix (tower vectors, statistics of train, text vectors) and its pgvector index."""
    from beauty_rec.events.folds import with_context
    from beauty_rec.search.pgvector.build import item_index_version
    from beauty_rec.search.pgvector.owner import claim
    from beauty_rec.towers.users.current_items import current_items
    from beauty_rec.towers.users.layout import QUERIES, SERVED

    train = split_reviews.filter(split="train").select(WITH_CONTEXTS).collect()
    train = with_context(train, settings)
    items = current_items(user_tower / SERVED, train, user_profiles, item_vectors, item_embeddings)
    matrix = items.vectors
    version = item_index_version(matrix, settings.item_index)
    context.set_data_version(context.asset_key, dg.DataVersion(f"{version}-{items.as_of_ms}"))
    queries = np.load(user_tower / QUERIES, allow_pickle=False)
    claim(settings)
    verified = Verified.below(settings.data_dir)
    built = pgvector.build(matrix, version, settings.item_index, queries, verified)
    draft = store.draft("item_index")
    items.save(draft)
    document = _reported(context, built, len(matrix.ids))
    write_text_atomic(draft / "index.json", json.dumps(document, indent=1) + "\n")
    return draft


@stage(group=GROUP, io="folders", kinds=("numpy",), served=True)
def lexical_index(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    merged_items: pl.DataFrame,
) -> Path:
    """BM25 over the item texts, and over the titles alone."""
    from beauty_rec.retriever.item_words import ItemWords

    columns = (merged_items[name].to_list() for name in ("parent_asin", "text", "title"))
    words = ItemWords.build(*columns)
    draft = store.draft("lexical_index")
    words.save(draft)
    context.add_asset_metadata(
        {
            "dagster/row_count": len(words.texts.ids),
            "words": len(words.texts.words),
            "title_words": len(words.titles.words),
        }
    )
    return draft


def _reported(context: dg.AssetExecutionContext, built: IndexVersion, items: int) -> dict[str, Any]:
    """Report a built version in the metadata, and return it as the asset's document."""
    context.add_asset_metadata(
        {
            "dagster/row_count": built.rows,
            "items": items,
            "dimension": built.dimension,
            "version": built.version,
            "recall_vs_exact@100": built.recall_vs_exact,
            **({} if built.ef_search is None else {"ef_search": built.ef_search}),
        }
    )
    return {
        "version": built.version,
        "rows": built.rows,
        "dimension": built.dimension,
        "recall_vs_exact@100": built.recall_vs_exact,
    }


def _holds_every_item(
    asset: dg.AssetsDefinition, min_recall: Callable[[Settings], float]
) -> dg.AssetChecksDefinition:
    """Return the check that stops what follows a bad index."""

    def judge(facts: ByPart, settings: Settings) -> verdicts.Verdict:
        own = facts[None]
        return verdicts.index_answers(own, own.get("items", 0), min_recall(settings))

    return facts_check(
        asset,
        "holds_and_finds_every_item",
        judge,
        "The index holds every item, and finds what exact search finds.",
        blocking=True,
    )


checks = [
    _holds_every_item(text_index, lambda settings: settings.text_index.min_recall),
    _holds_every_item(item_index, lambda settings: settings.item_index.min_recall),
]
