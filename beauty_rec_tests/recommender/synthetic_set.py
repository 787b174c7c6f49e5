"""A served set of any size in seconds: the real formats, untrained models, drawn vectors.

For tests and benchmarks: what a request costs does not depend on what the models have learned.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import save_file

from beauty_rec.artifacts import Vectors
from beauty_rec.corpus.schema import ITEM_SCHEMA
from beauty_rec.events.arrays import read_events
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.apply import TABLE, VOCABULARY
from beauty_rec.ranking.deepfm import DeepFM
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.ranking.reranker import Reranker, fields_of
from beauty_rec.recommender.online.sets import parts
from beauty_rec.recommender.online.sets.manifest import Manifest
from beauty_rec.recommender.orders import KINDS as ASKS
from beauty_rec.recommender.orders import Orders
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.serving.published.publishing import Frames, publish_run
from beauty_rec.settings import (
    EncoderSettings,
    ItemTowerSettings,
    RankingSettings,
    ServeSettings,
    UserTowerSettings,
    VocabularySettings,
)
from beauty_rec.towers.items.model import ItemTower
from beauty_rec.towers.items.served import VOCABULARY as IDS
from beauty_rec.towers.users.current_items import current_items
from beauty_rec.towers.users.model import UserTower, UserTowerShape
from beauty_rec.towers.users.profiles import ProfileEncoder, align
from beauty_rec.towers.users.served import ServedUserTower
from beauty_rec.towers.users.statistics import StatisticsSpec

START_MS, DAY_MS = 1_500_000_000_000, 86_400_000
KINDS = ("shampoo", "serum", "soap", "lipstick", "body lotion", "hair mask", "perfume", "mascara")
QUALITIES = ("gentle", "nourishing", "matte", "long lasting", "vegan", "silky", "tinted", "mild")
SCENTS = ("rose", "lavender", "vanilla", "cedar", "lemon", "coconut", "mint", "unscented")
NEEDS = ("dry scalp", "oily skin", "curly hair", "chapped lips", "frizz", "redness", "travel")
CONTEXTS = ("wedding", "gym", "daily use", "office", "gift", None, None, None)
ORDERS = Orders(
    {
        "hybrid": {"text": {"text_retriever": 1.0, "lexical": 0.5}},
        "fused": {"nothing": {"user_tower": 1.0, "item_to_item": 0.5, "popular": 0.2}},
        "reranked": {"occasion": {"reranked": 1.0, "user_tower": 0.1}},
    },
    {"reranked": 0.25},
    {"nothing": "fused", "occasion": "reranked", "text": "hybrid"},
    dict.fromkeys(ASKS, "chosen by hand, so that every way of ordering is gone"),
    {kind: {} for kind in ASKS},
)
"""One kind of ask for the weights of sources, one for a text, one for the reranker."""
TITLE_WIDTH = 384
TOWER_WIDTH = 160


@dataclass(frozen=True)
class Size:
    """How much of everything; ``seed`` tells sets apart."""

    items: int = 300
    events: int = 2_000
    users: int = 250
    seed: int = 13


def publish_synthetic(
    data: Path,
    size: Size,
    encoder: TextEncoder,
    *,
    encode: bool,
    night: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    late: Sequence[str] = (),
) -> Manifest:
    """Publish a set below ``data/serving``.

    Args:
        data: the data folder; ``data/synthetic`` holds the artifacts.
        size: of the catalogue.
        encoder: of the texts.
        encode: let it encode the items' texts; otherwise their vectors are drawn around centres.
        night: what has become of the attributes since the models were made; None: nothing.
        late: items that came after the reranker was trained.
    """
    draw = np.random.default_rng(size.seed)
    build = data / "synthetic" / str(size.seed)
    frames = frames_of(size, draw)
    ids = frames.attributes["parent_asin"].to_list()
    tower_vectors = Vectors(ids, _clustered(draw, len(ids), TOWER_WIDTH))
    merged = frames.merged
    texts = Vectors(
        merged["parent_asin"].to_list(),
        encoder.encode_items(merged["text"].to_list())
        if encode
        else _clustered(draw, merged.height, encoder.dimension),
    )
    vocabulary = Vocabulary.build(frames.attributes, None, VocabularySettings())
    train = frames.reviews.filter(split="train")
    vocabulary.save(build / "vocabulary.json")
    texts.save(build / parts.ITEM_EMBEDDINGS)
    encoder.save(build / parts.TEXT_RETRIEVER)
    columns = (merged[name].to_list() for name in ("parent_asin", "text", "title"))
    ItemWords.build(*columns).save(build / parts.LEXICAL_INDEX)
    _item_tower(build / parts.ITEM_TOWER, vocabulary)
    _user_tower(build, train, frames.profiles, tower_vectors, texts)
    _reranker(build / parts.RERANKER, frames, train, vocabulary, draw, late)
    if night is not None:
        frames = replace(frames, attributes=night(frames.attributes))
        today = Vocabulary.build(frames.attributes, vocabulary, VocabularySettings())
        today.save(build / "vocabulary.json")
        _table(frames, train, today, RankingSettings()).save(build / parts.ITEM_TABLE)
    rows, width = len(ids), np.load(build / parts.ITEM_INDEX / "vectors.npy").shape[1]
    names = (
        *(parts.TEXT_RETRIEVER, parts.ITEM_EMBEDDINGS, parts.LEXICAL_INDEX, parts.ITEM_TABLE),
        *(parts.ITEM_TOWER, parts.VOCABULARY),
        *(parts.USER_TOWER, parts.ITEM_INDEX, parts.RERANKER),
    )
    facts = {"version": f"{size.seed:016d}", "rows": rows, "recall_vs_exact@100": 1.0}
    return publish_run(
        data / "serving",
        {name: build / name for name in names},
        frames,
        {
            "text_index": {**facts, "dimension": encoder.dimension},
            "item_index": {**facts, "dimension": width},
        },
        {"domain": "beauty", "event_fields": ["context", "buyer_height_cm", "buyer_weight_kg"]},
        {"test reranked recall@100": 0.5},
        ServeSettings(sample_users=12),
        EncoderSettings(precision="float32"),
        {"test": "2026-01-05"},
    )


def frames_of(size: Size, draw: np.random.Generator | None = None) -> Frames:
    """Return the frames of a set, the same ones for a size."""
    draw = np.random.default_rng(size.seed) if draw is None else draw
    n = size.items
    ids = [f"B{size.seed % 100:02d}{row:07d}" for row in range(n)]
    kind, quality, scent, need = (draw.integers(len(w), size=n) for w in _WORDS)
    titles = [
        f"{QUALITIES[q].capitalize()} {SCENTS[s]} {KINDS[k]} for {NEEDS[d]}, set {size.seed}"
        for q, s, k, d in zip(quality, scent, kind, need, strict=True)
    ]
    stores = [f"House {row % 97}" for row in range(n)]
    items = pl.DataFrame(
        {
            "parent_asin": ids,
            "title": titles,
            "main_category": ["All Beauty"] * n,
            "store": stores,
            "price": [None if row % 5 == 0 else round(3 + row % 60 + 0.99, 2) for row in range(n)],
            "raw_price": [None] * n,
            "features": [[f"{size.seed} ml"]] * n,
            "description": [""] * n,
            "categories": [[]] * n,
            "category": [KINDS[k] for k in kind],
            "category_source": ["rules"] * n,
            "details": ["{}"] * n,
            "average_rating": draw.uniform(2.5, 5, n),
            "rating_number": draw.integers(1, 900, n),
        },
        schema=ITEM_SCHEMA,
    )
    attributes = pl.DataFrame(
        {
            "parent_asin": ids,
            "category": [KINDS[k] for k in kind],
            "brand": [store.lower() for store in stores],
            "scent": [[SCENTS[s]] for s in scent],
            "concern": [[NEEDS[d]] for d in need],
            "context": [[c] if (c := CONTEXTS[row % 8]) else [] for row in range(n)],
            "buyer_height_cm": [["165–170"] if row % 3 == 0 else [] for row in range(n)],
            "summary": [""] * n,
            "source": ["synthetic"] * n,
        }
    )
    said = [[NEEDS[d], f"smells of {SCENTS[s]}"] for d, s in zip(need, scent, strict=True)]
    keywords = pl.DataFrame(
        {
            "review_id": [f"k{row}" for row in range(n)],
            "parent_asin": ids,
            "who": [[]] * n,
            "when": [[]] * n,
            "why": said,
        },
        schema_overrides={"who": pl.List(pl.String), "when": pl.List(pl.String)},
    )
    merged = pl.DataFrame(
        {
            "parent_asin": ids[:-1],  # the last item has no text
            "title": titles[:-1],
            "text": [f"[Title] {title}" for title in titles[:-1]],
            "keywords": said[:-1],
        }
    )
    return Frames(
        _reviews(size, ids, draw), _profiles(size, draw), items, attributes, merged, keywords
    )


_WORDS = (KINDS, QUALITIES, SCENTS, NEEDS)


def _reviews(size: Size, ids: list[str], draw: np.random.Generator) -> pl.DataFrame:
    n = size.events
    item = (draw.beta(0.6, 3, n) * len(ids) * 0.9).astype(int)  # a tenth is never bought
    user = (draw.beta(1, 2, n) * size.users).astype(int)
    # The first ten users have ten events at least, as those that a shop would try it with.
    user[: min(n, 120)] = np.repeat(np.arange(10), 12)[: min(n, 120)]
    time = np.sort(START_MS + (draw.random(n) * 1_200 * DAY_MS).astype(np.int64))
    context = draw.integers(len(CONTEXTS), size=n)
    split = np.array(["train", "valid", "test"])[np.digitize(np.arange(n) / n, [0.8, 0.9])]
    frame = pl.DataFrame(
        {
            "review_id": np.char.add("r", np.arange(n).astype(str)),
            "user_id": np.char.add("AUSER", np.char.zfill(user.astype(str), 20)),
            "parent_asin": np.array(ids)[item],
            "timestamp": time,
            "rating": draw.integers(1, 6, n).astype(np.float32),
            "context": [CONTEXTS[c] for c in context],
            "split": split,
        }
    )
    return frame.with_columns(extras=pl.lit(None, dtype=pl.String), text=pl.lit(""))


def _profiles(size: Size, draw: np.random.Generator) -> pl.DataFrame:
    users = np.arange(0, size.users, 2)
    return pl.DataFrame(
        {
            "user_id": np.char.add("AUSER", np.char.zfill(users.astype(str), 20)),
            "height_cm": draw.normal(167, 8, len(users)).astype(np.float32),
            "weight_kg": draw.normal(66, 11, len(users)).astype(np.float32),
        }
    )


def _clustered(draw: np.random.Generator, n: int, width: int) -> np.ndarray:
    centres = draw.standard_normal((300, width), dtype=np.float32)
    matrix = centres[draw.integers(300, size=n)]
    matrix = matrix + draw.standard_normal((n, width), dtype=np.float32)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def _item_tower(folder: Path, vocabulary: Vocabulary) -> None:
    settings = ItemTowerSettings(attribute_share=0.85)
    std_fields = len(vocabulary.std_fields)
    attributes = TOWER_WIDTH - settings.dimension
    tower = ItemTower(len(vocabulary), std_fields, TITLE_WIDTH, settings, attributes)
    tower.space.normal_(generator=torch.Generator().manual_seed(0))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tower.state_dict(), folder / "model.safetensors")
    config = {
        "vocabulary": len(vocabulary),
        "std_fields": std_fields,
        "title_width": TITLE_WIDTH,
        "attributes": attributes,
        "settings": settings.model_dump(mode="json"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary.save(folder / IDS)


def _user_tower(
    build: Path, train: pl.DataFrame, profiles: pl.DataFrame, vectors: Vectors, texts: Vectors
) -> None:
    settings = UserTowerSettings()
    events = read_events(train, vectors.ids)
    encoder = ProfileEncoder.fit(profiles, events.users)
    people = encoder.encode(align(profiles, events.users))
    rows, end = np.arange(len(events)), int(events.time_ms.max()) + 1
    spec = StatisticsSpec.fit(events, rows, people, len(encoder.numeric), end, settings)
    shape = UserTowerShape(
        vectors.matrix.shape[1], len(spec.mean), texts.matrix.shape[1], encoder.width, 3
    )
    tower = UserTower(shape, settings).eval()
    folder = build / parts.USER_TOWER
    # The matrix is made for a tower on disk, and a tower is saved with a matrix: begin with none.
    nothing = np.zeros((len(vectors.ids), shape.statistics), np.float32)
    from beauty_rec.towers.users.item_matrix import build_item_matrix

    empty = build_item_matrix(vectors, nothing, end, texts)
    ServedUserTower(tower, empty, encoder, spec, 5.0, 10.0, 20.0).save(folder)
    current_items(folder, train, profiles, vectors, texts).save(build / parts.ITEM_INDEX)


def _reranker(
    folder: Path,
    frames: Frames,
    train: pl.DataFrame,
    vocabulary: Vocabulary,
    draw: np.random.Generator,
    late: Sequence[str],
) -> None:
    settings = RankingSettings()
    spec = FeatureSpec.layout(vocabulary, frames.profiles, train, settings)
    spec = spec.fitted(draw.standard_normal((100, len(spec.raw))).astype(np.float32))
    model = DeepFM(len(vocabulary), fields_of(spec), settings).eval()
    Reranker(model, spec, len(vocabulary), settings, (1.0, -3.0)).save(folder)
    _table(frames, train, vocabulary, settings).save(folder.parent / parts.ITEM_TABLE)
    before = frames.attributes.filter(~pl.col("parent_asin").is_in(late))
    known = replace(frames, attributes=before)
    _table(known, train, vocabulary, settings).save(folder / TABLE)
    vocabulary.save(folder / VOCABULARY)
    ORDERS.save(folder)


def _table(
    frames: Frames, train: pl.DataFrame, vocabulary: Vocabulary, settings: RankingSettings
) -> ItemTable:
    spec = FeatureSpec.layout(vocabulary, frames.profiles, train, settings)
    return ItemTable.build(
        frames.attributes, vocabulary, frames.items, train, frames.profiles, spec, settings
    )


def load_encoder(model: str | Path) -> TextEncoder:
    """Return an encoder in float32, for sets that are compared."""
    return TextEncoder.load(model, EncoderSettings(precision="float32"))
