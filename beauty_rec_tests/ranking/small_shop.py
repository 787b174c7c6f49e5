"""A shop of ten items and a few events, small enough to count by hand."""

import numpy as np
import polars as pl

from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.features.build import Candidates, FeatureBuilder, Query
from beauty_rec.ranking.features.frames import queries_from
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.features.spec import RETRIEVAL, FeatureSpec
from beauty_rec.settings import RankingSettings, VocabularySettings

DAY = 86_400_000
SETTINGS = RankingSettings(
    history_std=3, history_re=4, half_lives_days=(2,), context_half_lives_days=(4,),
    embedding_dim=4, hidden=(8, 4), dropout=0.1, epochs=4, batch_size=16, learning_rate=0.01,
    price=True,
)  # fmt: skip


def attributes() -> pl.DataFrame:
    """Ten items: i0 … i9; odd ones are gowns, i9 has neither a category nor any RE value."""
    n = 10
    return pl.DataFrame(
        {
            "parent_asin": [f"i{i}" for i in range(n)],
            "category": [*("gown" if i % 2 else "dress" for i in range(n - 1)), None],
            "brand": [None] * n,
            "context": [*(["wedding"] if i % 3 else ["work", "date"] for i in range(n - 1)), []],
            "buyer_shape": [*([["pear"], ["apple"]][i % 2] for i in range(n - 1)), []],
            "buyer_height_cm": [*([["160–170"], ["170–180"]][i % 2] for i in range(n - 1)), []],
            "summary": [""] * n,
            "source": ["test"] * n,
        },
        schema_overrides={"brand": pl.String},
    )


def items() -> pl.DataFrame:
    """Prices: i0 is free of one, i1 costs 9, …"""
    return pl.DataFrame(
        {"parent_asin": [f"i{i}" for i in range(10)], "price": [None, *map(float, range(9, 18))]},
        schema={"parent_asin": pl.String, "price": pl.Float32},
    )


def reviews() -> pl.DataFrame:
    """Twelve train events, one a day from day 1."""
    taken = [0, 1, 2, 3, 0, 1, 4, 0, 1, 1, 2, 5]
    return pl.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(12)],
            "user_id": [f"u{i % 4}" for i in range(12)],
            "parent_asin": [f"i{i}" for i in taken],
            "timestamp": [(i + 1) * DAY for i in range(12)],
            "context": ["wedding", "work"] * 6,
            "split": ["train"] * 12,
        }
    )


def profiles() -> pl.DataFrame:
    """Four users; u2 has a NaN height, u3 knows nothing."""
    return pl.DataFrame(
        {
            "user_id": ["u0", "u1", "u2", "u3"],
            "height_cm": [160.0, 175.0, float("nan"), None],
            "shape": ["pear", " Apple", "apple", None],
        },
        schema_overrides={"height_cm": pl.Float32},
    )


def events() -> pl.DataFrame:
    """Five held-out events: the last user is new, the fourth context is free text."""
    return pl.DataFrame(
        {
            "review_id": ["e0", "e1", "e2", "e3", "e4"],
            "user_id": ["u0", "u1", "u2", "u3", "new"],
            "timestamp": [20 * DAY, 21 * DAY, 22 * DAY, 23 * DAY, 24 * DAY],
            "context": ["Wedding ", "work", None, "for my sister's graduation", "date"],
            "history": [["i0", "i1", "i1"], ["i1"], ["i2", "gone"], [], []],
        }
    )


def candidates(seed: int = 0, each: int = 6) -> Candidates:
    """``each`` candidates of each event, one of them unknown to the shop."""
    draw = np.random.default_rng(seed)
    asked = len(events())
    chosen = [[*(f"i{i}" for i in draw.permutation(10)[: each - 1]), "stranger"]
              for _ in range(asked)]  # fmt: skip
    retrieval = draw.random((asked * each, len(RETRIEVAL)), dtype=np.float32)
    items = [item for one in chosen for item in one]
    return Candidates(np.repeat(np.arange(asked), each), items, retrieval)


def queries() -> list[Query]:
    return queries_from(events(), profiles())


def vocabulary() -> Vocabulary:
    return Vocabulary.build(attributes(), None, VocabularySettings(min_count=1, max_re=5))


def builder(settings: RankingSettings = SETTINGS) -> FeatureBuilder:
    """A builder whose spec is fitted on the candidates above."""
    words = vocabulary()
    spec = FeatureSpec.layout(words, profiles(), reviews(), settings)
    spec = spec.model_copy(update={"steps": {"height_cm": 10.0}})
    table = ItemTable.build(attributes(), words, items(), reviews(), profiles(), spec, settings)
    raw = FeatureBuilder(spec, words, table).build(queries(), candidates()).raw
    return FeatureBuilder(spec.fitted(raw), words, table)
