"""Asset [serving]: the published set that the HTTP API answers from, whole or not at all."""

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from beauty_rec.orchestration.assets.raw import hidden_items_file
from beauty_rec.orchestration.stage.partitions import only
from beauty_rec.orchestration.stage.stage import stage
from beauty_rec.orchestration.storage.records import days_asked
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings

GROUP = "serving"
MEASURED = ("valid", "test")
HEADLINES = ("recall@10", "recall@100", "ndcg@10", "mrr")


@stage(
    group=GROUP,
    io="documents",
    settings=(
        *("serve.sample_users", "serve.keep_sets", "serve.statistics"),
        *("attributes", "ranking", "recommendation"),
    ),
    ins={"keywords": dg.AssetIn(partition_mapping=only("train"))},
    # Of the candidates it says when they were asked.
    deps=[hidden_items_file, "user_candidates", "retrieval_candidates"],
    kinds=("json",),
    served=True,
)
def serving_manifest(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    text_retriever: Path,
    item_embeddings: Path,
    lexical_index: Path,
    item_tower: Path,
    vocabulary: Path,
    user_tower: Path,
    item_index: Path,
    text_index: dict[str, Any],
    reranker: Path,
    split_reviews: pl.DataFrame,
    user_profiles: pl.DataFrame,
    raw_items: pl.DataFrame,
    item_attributes: pl.DataFrame,
    merged_items: pl.DataFrame,
    keywords: pl.DataFrame,
    retrieval_metrics: dict[str, dict[str, Any]],
    ranking_metrics: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """The immutable set that is served, and the manifest that names it, written last."""
    from beauty_rec.corpus.hidden import read_hidden
    from beauty_rec.evaluation.answer import refuse_worse_than_parts
    from beauty_rec.events.folds import with_context
    from beauty_rec.items.attributes import choose_domain
    from beauty_rec.items.event_evidence import event_evidence
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.ranking.apply import VOCABULARY as RERANKED_IDS
    from beauty_rec.ranking.features.knowledge import ItemKnowledge
    from beauty_rec.recommender.online.sets import parts
    from beauty_rec.recommender.online.sets.manifest import PLACE_IN_TIME
    from beauty_rec.recommender.orders import Orders
    from beauty_rec.serving.published.publishing import Frames, publish_run
    from beauty_rec.towers.users.current_items import restated
    from beauty_rec.towers.users.item_matrix import ItemMatrix
    from beauty_rec.towers.users.layout import SERVED

    orders = Orders.load(reranker)
    days = days_asked(context.instance)
    measured = {split: days[split] for split in MEASURED if split in days}
    table, matrix = store.draft("item_table"), item_index
    counted = split_reviews
    items = ItemMatrix.load(item_index)
    if settings.serve.statistics == "now":
        counted = split_reviews.with_columns(split=pl.lit("train", split_reviews.schema["split"]))
        now = with_context(counted, settings)
        items = restated(items, user_tower / SERVED, now, user_profiles)
        matrix = store.draft("item_matrix")
        items.save(matrix)
    # What these events say of the items; the reranker's own table is of when it was trained.
    ItemKnowledge.of(
        item_attributes,
        raw_items,
        counted,
        user_profiles,
        # Its ids are those that the set's reranker is asked with.
        Vocabulary.load(reranker / RERANKED_IDS).carried_on(Vocabulary.load(vocabulary)),
        settings,
    ).table().save(table)
    refuse_worse_than_parts(ranking_metrics.get("valid", {}).get("answer", {}))
    train = with_context(split_reviews.filter(split="train"), settings)
    events = event_evidence(train, user_profiles, settings.attributes)
    manifest = publish_run(
        settings.data_dir / "serving",
        {
            parts.TEXT_RETRIEVER: text_retriever,
            parts.ITEM_EMBEDDINGS: item_embeddings,
            parts.LEXICAL_INDEX: lexical_index,
            parts.ITEM_TABLE: table,
            parts.ITEM_TOWER: item_tower,
            parts.VOCABULARY: vocabulary,
            parts.USER_TOWER: user_tower / SERVED,
            parts.ITEM_INDEX: matrix,
            parts.RERANKER: reranker,
        },
        Frames(
            split_reviews,
            user_profiles,
            raw_items,
            item_attributes,
            merged_items,
            keywords,
            read_hidden(settings.hidden_items),
        ),
        {
            "text_index": text_index,
            "item_index": json.loads((item_index / "index.json").read_text(encoding="utf-8")),
        },
        {
            "domain": choose_domain(raw_items, settings.attributes.domain).name
            if settings.attributes.domain == "auto"
            else settings.attributes.domain,
            "event_fields": sorted(events["field"].unique()),
            "reads_texts": settings.reads_texts,
            "served": dict(orders.served),
            "reasons": dict(orders.reasons),
        },
        _headlines(retrieval_metrics, ranking_metrics),
        settings.serve,
        settings.encoder,
        measured,
    )
    for draft in {table, matrix} - {item_index}:  # the set has links of its own
        shutil.rmtree(draft)
    context.set_data_version(context.asset_key, dg.DataVersion(manifest.set))
    context.add_asset_metadata(
        {
            "set": manifest.set,
            "measured": dg.MetadataValue.json(measured),
            "statistics_until": dg.MetadataValue.timestamp(items.as_of_ms / 1000),
            "served": dg.MetadataValue.json({str(k): v for k, v in orders.served.items()}),
            "reasons": dg.MetadataValue.json({str(k): v for k, v in orders.reasons.items()}),
            **manifest.metrics,
        }
    )
    return manifest.model_dump(exclude=set(PLACE_IN_TIME))


def _headlines(
    retrieval: dict[str, dict[str, Any]], ranking: dict[str, dict[str, Any]]
) -> dict[str, float]:
    """Return the figures of both held-out splits that people ask for first."""
    found: dict[str, float] = {}
    for split in MEASURED:
        texts = retrieval.get(split, {}).get("review_text", {})
        blocks = {
            "text_retriever": texts.get("text_retriever", {}),
            **{
                method: ranking.get(split, {}).get("recommendation", {}).get(method, {})
                for method in ("user_tower", "reranked")
            },
            **{
                f"served {scenario}": section.get("served", {})
                for scenario, section in ranking.get(split, {}).get("answer", {}).items()
            },
        }
        for method, block in blocks.items():
            for metric in HEADLINES:
                if block.get(metric) is not None:
                    found[f"{split} {method} {metric}"] = round(float(block[metric]), 5)
    return found
