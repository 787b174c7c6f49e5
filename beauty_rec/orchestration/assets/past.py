"""Asset [towers]: the items as the folds of train knew them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.stage.embedding import embedded
from beauty_rec.orchestration.stage.partitions import WITHOUT_TEXTS, only
from beauty_rec.orchestration.stage.row_cache import reused_vectors
from beauty_rec.orchestration.stage.stage import stage
from beauty_rec.orchestration.storage.resources import EncoderResource
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings

if TYPE_CHECKING:
    from beauty_rec.towers.items.features import Content


@stage(
    group="towers",
    io="folders",
    settings=(
        *("recommendation.folds", "evaluation.train_events", "attributes", "item_text"),
        *("item_tower.event_values", "encoder", "llm.backend"),
    ),
    reads={"split_reviews": ["train"]},
    ins={"keywords": dg.AssetIn(partition_mapping=only("train"))},
    kinds=("polars", "numpy"),
    gpu=True,
)
def past_items(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    encoder: EncoderResource,
    raw_items: pl.DataFrame,
    split_reviews: pl.LazyFrame,
    keywords: pl.DataFrame,
    user_profiles: pl.DataFrame,
    item_attributes: pl.DataFrame,
    vocabulary: Path,
    item_tower: Path,
    text_retriever: Path,
    merged_items: pl.DataFrame,
    item_vectors: Vectors,
    item_embeddings: Vectors,
) -> Path:
    """Attributes and vectors of the items at the start of each fold: no later review is in them."""
    from beauty_rec.events.folds import fold_starts
    from beauty_rec.items.attributes import choose_domain
    from beauty_rec.items.past.attributes import AttributeHistory
    from beauty_rec.items.past.texts import past_texts
    from beauty_rec.items.rules import RulesAttributeExtractor
    from beauty_rec.items.vocabulary import Vocabulary
    from beauty_rec.towers.items.inputs import item_inputs
    from beauty_rec.towers.items.served import todays_item_tower
    from beauty_rec.towers.items.titles import read_item_vectors
    from beauty_rec.towers.past.build import features_of, filled, past_inputs
    from beauty_rec.training.device import device_of

    train = split_reviews.filter(split="train").select(WITHOUT_TEXTS).collect()
    rules = settings.llm.backend == "rules"
    domain = choose_domain(raw_items, settings.attributes.domain)
    history = AttributeHistory(
        item_attributes,
        raw_items,
        train,
        keywords,
        user_profiles,
        settings.attributes,
        domain,
        RulesAttributeExtractor(domain, settings.attributes) if rules else None,
    )
    starts = fold_starts(train, settings.recommendation.folds, settings.evaluation.train_events)
    tower, known = todays_item_tower(item_tower, Vocabulary.load(vocabulary))
    moments = past_texts(
        ((start, history.before(start)) for start in starts),
        raw_items,
        train,
        keywords,
        settings.item_text,
        encoder.load(text_retriever, settings.encoder).count_tokens,
    )
    inputs = past_inputs(moments, known, train, user_profiles, settings)

    def embed(texts: list[str]) -> NDArray[np.float32]:
        return embedded(context, encoder, text_retriever, texts, settings, kind="texts")

    def encode(contents: "list[Content]") -> NDArray[np.float32]:
        tower.to(device_of(settings.encoder.device))
        # A title stands in the contents of several moments: side by side it is read once.
        order = sorted(range(len(contents)), key=lambda row: contents[row][2])
        grouped = [contents[row] for row in order]
        parts = partial(map, lambda rows: vectors_of([grouped[row] for row in rows]))
        found = reused_vectors(context, settings, item_tower, grouped, parts, kind="tower")
        out = np.empty_like(found)
        out[order] = found
        return out

    def vectors_of(contents: "list[Content]") -> NDArray[np.float32]:
        return read_item_vectors(
            tower,
            item_tower,
            features_of(contents),
            precision=settings.encoder.precision,
            scratch=Path(store.scratch),
        )

    # What stands in the items of today has its vector.
    now = item_inputs(item_attributes, known, merged_items, train, user_profiles, settings).features
    contents = {content: row for row, content in enumerate(now.contents())}
    read = dict(zip(merged_items["text"], range(merged_items.height), strict=True))
    target = store.draft("past_items")
    inputs.save(
        filled(inputs.contents, contents, item_vectors.matrix, encode),
        filled(inputs.texts, read, item_embeddings.matrix, embed),
        target,
    )
    context.add_asset_metadata(
        {
            "folds": len(starts),
            "texts": len(inputs.texts),
            "texts_of_today": sum(text in read for text in inputs.texts),
            "items_known": dg.MetadataValue.json(
                {str(start): rows.height for start, rows in inputs.rows.items()}
            ),
        }
    )
    return target
