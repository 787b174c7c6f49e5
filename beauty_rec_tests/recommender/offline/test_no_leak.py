"""A fold of train is asked of what was before it: nothing that came later moves a byte of it."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors, content_hash
from beauty_rec.corpus.schema import ITEM_SCHEMA
from beauty_rec.events.folds import fold_of, fold_starts
from beauty_rec.events.queries import recommendation_queries
from beauty_rec.items.attributes import item_attributes
from beauty_rec.items.domain import load_domain
from beauty_rec.items.past.attributes import AttributeHistory
from beauty_rec.items.past.texts import past_texts
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.recommender.offline.scenarios import given_texts, hits_of, split_lists
from beauty_rec.recommender.offline.shelves import fold_shelf
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.settings import Settings, UserTowerSettings, VocabularySettings
from beauty_rec.towers.past.build import past_inputs
from beauty_rec.towers.past.stored import PastItems
from beauty_rec.towers.users.train.data import user_tower_data
from beauty_rec.towers.users.train.recipe import train_user_tower

ITEMS = [f"i{row:02}" for row in range(60)]
SETTINGS = Settings()
_TITLES = [
    f"{('Rose', 'Mint')[row % 2]} {('soap', 'serum', 'perfume')[row % 3]} {row}"
    for row in range(60)
]
_KNOWN = {"parent_asin": ITEMS, "title": _TITLES, "price": [float(5 + row) for row in range(60)]}
CATALOGUE = (
    pl.DataFrame(_KNOWN, schema_overrides={"price": pl.Float32})
    .with_columns(pl.lit(None, t).alias(n) for n, t in ITEM_SCHEMA.items() if n not in _KNOWN)
    .head(50)  # the last ten are known by their reviews alone
)


Change = Callable[[pl.Expr], list[pl.Expr]]
CHANGES: dict[str, Change] = {
    "text": lambda at: [pl.when(at).then(pl.lit("other words")).otherwise("text").alias("text")],
    "rating": lambda at: [pl.when(at).then(1.0).otherwise("rating").alias("rating")],
    "item": lambda at: [
        pl.when(at).then(pl.lit("i55")).otherwise("parent_asin").alias("parent_asin")
    ],
    "context": lambda at: [pl.when(at).then(pl.lit("gym")).otherwise("context").alias("context")],
    "extras": lambda at: [
        pl.when(at).then(pl.lit('{"fit": "other"}')).otherwise("extras").alias("extras")
    ],
}


def _keywords(train: pl.DataFrame) -> pl.DataFrame:
    """Who, when and why of a review, one of its words each."""
    word = pl.col("text").str.split(" ")
    return train.select(
        "review_id",
        "parent_asin",
        **{name: word.list.slice(-place - 1, 1) for place, name in enumerate(SAID)},
    )


SAID = ("who", "when", "why")


def _vector(content: object, width: int) -> NDArray[np.float32]:
    """A unit vector that stands for a content, the same in every process."""
    seed = int.from_bytes(hashlib.sha256(repr(content).encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=width).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


class Past:
    """What is known of the items, as the assets make it; vectors of an encoder that only hashes."""

    def __init__(self, known: pl.DataFrame, profiles: pl.DataFrame, starts: list[int]) -> None:
        self.train, self.profiles, self.starts = known.filter(split="train"), profiles, starts
        self.keywords = _keywords(self.train)
        self.domain = load_domain("beauty")
        self.extractor = RulesAttributeExtractor(self.domain, SETTINGS.attributes)
        self.today = item_attributes(
            self.extractor, CATALOGUE, self.train, self.keywords, profiles, SETTINGS.attributes
        )

    def save(self, vocabulary: Vocabulary, folder: Path, *, anew: bool = True) -> PastItems:
        history = AttributeHistory(
            self.today, CATALOGUE, self.train, self.keywords, self.profiles, SETTINGS.attributes,
            self.domain, self.extractor if anew else None,
        )  # fmt: skip
        moments = past_texts(
            [(start, history.before(start)) for start in self.starts],
            CATALOGUE,
            self.train,
            self.keywords,
            SETTINGS.item_text,
            lambda texts: [len(text.split()) for text in texts],
        )
        inputs = past_inputs(moments, vocabulary, self.train, self.profiles, SETTINGS)
        inputs.save(
            np.stack([_vector(content, 6) for content in inputs.contents]),
            np.stack([_vector(text, 5) for text in inputs.texts]),
            folder,
        )
        return PastItems.load(folder)


def train_fold_tower(
    reviews: pl.DataFrame,
    item_vectors: Vectors,
    contexts: Vectors,
    profiles: pl.DataFrame,
    small: UserTowerSettings,
    folder: Path,
    start: int,
) -> None:
    texts = Vectors(ITEMS, np.repeat(np.eye(2, 5, dtype=np.float32), 30, axis=0))
    tower = user_tower_data(reviews, item_vectors, contexts, profiles, texts, train_until_ms=start)
    train_user_tower(tower, small.model_copy(update={"epochs": 1}), folder / str(start))


@pytest.mark.parametrize(
    "anew",
    [
        pytest.param(True, id="rules"),
        pytest.param(False, id="language model", marks=pytest.mark.slow),
    ],
)
def test_later_reviews_move_nothing_of_a_fold(
    anew: bool,
    reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    item_vectors: Vectors,
    contexts: Vectors,
    small: UserTowerSettings,
    tmp_path: Path,
) -> None:
    said = (
        pl.lit("a rose mask for dry skin at ")
        + pl.col("context").fill_null("home")
        + pl.lit(" by ")
    )
    reviews = reviews.with_columns(text=said + pl.col("user_id"))
    start, end = fold_starts(reviews, (0.5, 0.75))
    train_fold_tower(reviews, item_vectors, contexts, profiles, small, tmp_path, start)
    today = Past(reviews, profiles, [start, end]).today
    vocabulary = Vocabulary.build(today, None, VocabularySettings(min_count=1))

    def fold(known: pl.DataFrame, name: str) -> tuple[bytes, str, bytes, int]:
        """The candidate lists of the first fold, and what it read of the items."""
        events = recommendation_queries(known, "train")
        inside = dict(fold_of(events.filter(pl.col("timestamp") >= start), [start, end]))[start]
        inside = inside.filter(pl.col("timestamp") < end)  # later ones are asked of it as well
        past = Past(known, profiles, [start, end]).save(vocabulary, tmp_path / name, anew=anew)
        knowledge = ItemKnowledge.of(
            today, CATALOGUE, known, profiles, vocabulary, SETTINGS, past.attributes
        )
        table = knowledge.table(start)
        table.save(tmp_path / f"{name} table")
        vectors, words = past.vectors(start), past.texts(start)
        shelf = fold_shelf(
            tmp_path, start, known, profiles, vectors, words, table, reads_texts=False
        )
        assert not {source.name for source in shelf.sources} & {"text_retriever", "lexical"}
        written, hits = io.BytesIO(), 0
        for scenario, asked in given_texts(inside, 13):
            lists = split_lists(shelf, asked, known, profiles, contexts, scenario, 10)
            assert np.isnan(lists.scores[:, SOURCES.index("lexical")]).all()
            hits += int(hits_of(lists, inside).sum())
            lists.frame().write_ipc(written)
        read = vectors.matrix.tobytes() + words.matrix.tobytes() + repr(vectors.ids).encode()
        return written.getvalue(), content_hash(tmp_path / f"{name} table"), read, hits

    # The last instant of the fold stands still: its events are the fold's own.
    later = (pl.col("split") == "train") & (pl.col("timestamp") >= end)
    assert reviews.filter(later).height > 100
    before = fold(reviews, "before")
    assert before[-1] > 10
    earlier = (pl.col("timestamp") < start) & (pl.int_range(pl.len()) % 2 == 0)
    for name, change in CHANGES.items():
        assert fold(reviews.with_columns(change(later)), f"later {name}") == before, name
        # And what was before does count.
        assert fold(reviews.with_columns(change(earlier)), f"earlier {name}") != before, name


def test_no_fold_is_asked_in_words_that_the_encoder_learned_from(
    reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    item_vectors: Vectors,
    contexts: Vectors,
    small: UserTowerSettings,
    tmp_path: Path,
) -> None:
    """Where reviews stand for contexts, the tower is not told an event's own words."""
    reviews = reviews.with_columns(text=pl.lit("a mask by ") + pl.col("user_id"))
    start, _ = fold_starts(reviews, (0.5, 0.75))
    train_fold_tower(reviews, item_vectors, contexts, profiles, small, tmp_path, start)
    made = Past(reviews, profiles, [start])
    vocabulary = Vocabulary.build(made.today, None, VocabularySettings(min_count=1))
    past = made.save(vocabulary, tmp_path / "past")
    table = ItemKnowledge.of(
        made.today, CATALOGUE, reviews, profiles, vocabulary, SETTINGS, past.attributes
    ).table(start)
    events = recommendation_queries(reviews, "train").filter(
        pl.col("timestamp") >= start, pl.col("context").is_not_null()
    )[:40]

    def scores(events: pl.DataFrame, reads_texts: bool) -> NDArray[np.float32]:
        vectors, words = past.vectors(start), past.texts(start)
        shelf = fold_shelf(tmp_path, start, reviews, profiles, vectors, words, table, reads_texts)
        lists = split_lists(shelf, events, reviews, profiles, contexts, "with_text", 100)
        assert len(lists.ask) > 40 * 50  # whoever asks is told of nearly all items
        return lists.scores[:, SOURCES.index("user_tower")]

    bare = events.with_columns(context=pl.lit(None, dtype=pl.String))
    np.testing.assert_array_equal(scores(events, True), scores(bare, True))
    # An occasion is nobody's own words: it is heard as ever.
    assert not np.array_equal(scores(events, False), scores(bare, False))
