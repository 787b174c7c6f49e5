"""How much there is to do: rows, pairs and tokens, counted in the given files.

The files are read as a run reads them, into a folder that is deleted, so counts of rows are exact.
Texts and pairs are made of a sample of the items by the code that a run uses.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from beauty_rec.items.text import CountTokens
from beauty_rec.settings import Settings

SAMPLE_ITEMS = 400
MAX_SAMPLE_REVIEWS = 20_000


@dataclass(frozen=True)
class DataAtHand:
    """Rows, pairs and tokens of a run. Tokens include the encoder's first and last.

    ``seconds`` are those measured here for all rows, by the name of the assets.
    """

    reviews: int
    train_reviews: int
    items: int
    described_items: int
    pairs: int
    item_tokens: float
    query_tokens: float
    positive_tokens: float
    title_tokens: float
    review_chars: float
    item_chars: float
    titles: int
    parquet_bytes: int
    seconds: dict[str, float]


def look(settings: Settings, count_tokens: CountTokens) -> DataAtHand:
    """Return the data of the settings' inputs.

    Args:
        settings: inputs, split, item texts and pairs.
        count_tokens: of the encoder, without its first and last token.

    Raises:
        CorpusFileError: a file cannot be read.
        SplitError: the reviews cannot be cut into three parts.
    """
    from beauty_rec.corpus.intake.ingest import ingest_items, ingest_reviews
    from beauty_rec.corpus.schema import ITEM_SCHEMA
    from beauty_rec.corpus.split import cut_times, split_reviews

    assert settings.inputs["reviews"] is not None, "reviews are never None: the sample stands in"
    with TemporaryDirectory(prefix="beauty-rec-plan-") as name:
        folder = Path(name)
        began = time.perf_counter()
        ingest_reviews(
            settings.inputs["reviews"], folder / "reviews", folder / "refused", settings.corpus
        )
        reading = time.perf_counter() - began
        reviews = pl.read_parquet(folder / "reviews", glob=False)
        size = (folder / "reviews").stat().st_size
        if settings.inputs["items"] is None:
            items = pl.DataFrame(schema=dict(ITEM_SCHEMA))
        else:
            ingest_items(
                settings.inputs["items"], folder / "items", folder / "refused", settings.corpus
            )
            items = pl.read_parquet(folder / "items", glob=False)
            size += (folder / "items").stat().st_size
    rows = split_reviews(reviews, cut_times(reviews["timestamp"], settings.corpus))
    train = rows.filter(split="train")
    reviewed = rows["parent_asin"].unique()
    everything = pl.concat([items["parent_asin"], reviewed]).unique()
    sample = _sample(train, everything)
    part = _of_sample(settings, count_tokens, train, items, sample)
    scale = everything.len() / max(1, sample.len())
    by_reviews = train.height / max(1, part.train_reviews)
    pairs = round(part.pairs * by_reviews)
    return DataAtHand(
        reviews=reviews.height,
        train_reviews=train.height,
        items=everything.len(),
        described_items=items.height,
        pairs=min(pairs, settings.pairs.max_pairs or pairs),
        item_tokens=part.item_tokens,
        query_tokens=part.query_tokens,
        positive_tokens=part.positive_tokens,
        title_tokens=part.title_tokens,
        review_chars=_mean_chars(reviews["text"], settings.llm.max_review_chars),
        item_chars=_mean_chars(items["description"], settings.llm.max_item_chars),
        titles=items["title"].n_unique(),
        parquet_bytes=size,
        seconds={
            "raw_reviews, raw_items, split_reviews": reading,
            "keywords (rules)": part.seconds["keywords"] * reviews.height / part.train_reviews
            if part.train_reviews
            else 0.0,
            "merged_items": part.seconds["texts"] * scale,
            "training_pairs": part.seconds["pairs"] * by_reviews,
        },
    )


def _sample(train: pl.DataFrame, everything: pl.Series) -> pl.Series:
    """Return some of the items, drawn evenly; fewer where their reviews would be too many."""
    ordered = everything.sort()
    per_item = train.height / max(1, ordered.len())
    wanted = min(SAMPLE_ITEMS, max(20, int(MAX_SAMPLE_REVIEWS / max(per_item, 1e-9))))
    return ordered.sample(min(wanted, ordered.len()), seed=13)


@dataclass(frozen=True)
class _Part:
    train_reviews: int
    pairs: int
    item_tokens: float
    query_tokens: float
    positive_tokens: float
    title_tokens: float
    seconds: dict[str, float]


def _of_sample(
    settings: Settings,
    count_tokens: CountTokens,
    train: pl.DataFrame,
    items: pl.DataFrame,
    sample: pl.Series,
) -> _Part:
    """Return what the run's own code makes of the sampled items, and its seconds."""
    from beauty_rec.items.text import merge_items
    from beauty_rec.keywords.extractor import extract_keywords
    from beauty_rec.keywords.rules import RulesExtractor
    from beauty_rec.retriever.pairs import training_pairs

    reviews = train.filter(pl.col("parent_asin").is_in(sample.implode()))
    described = items.filter(pl.col("parent_asin").is_in(sample.implode()))
    extractor = RulesExtractor()
    extractor.read("warm", "up")
    began = time.perf_counter()
    keywords = extract_keywords(reviews, extractor)
    at_keywords = time.perf_counter()
    # Without summaries of descriptions: a description of its own length stands for one.
    attributes = described.select("parent_asin", summary=pl.col("description").str.slice(0, 300))
    texts = merge_items(described, attributes, keywords, settings.item_text, count_tokens)
    at_texts = time.perf_counter()
    pairs = training_pairs(
        reviews, keywords, described, settings.pairs.model_copy(update={"max_pairs": None}),
        settings.item_text, count_tokens, attributes,
    )  # fmt: skip
    at_pairs = time.perf_counter()
    limits = settings.encoder
    return _Part(
        train_reviews=reviews.height,
        pairs=pairs.height,
        item_tokens=_mean_tokens(texts["text"], count_tokens, limits.max_item_tokens),
        query_tokens=_mean_tokens(pairs["query"], count_tokens, limits.max_query_tokens),
        positive_tokens=_mean_tokens(pairs["positive"], count_tokens, limits.max_item_tokens),
        title_tokens=_mean_tokens(
            described["title"].drop_nulls(), count_tokens, settings.item_tower.max_title_tokens
        ),
        seconds={
            "keywords": at_keywords - began,
            "texts": at_texts - at_keywords,
            "pairs": at_pairs - at_texts,
        },
    )


def _mean_tokens(texts: pl.Series, count_tokens: CountTokens, limit: int) -> float:
    counts = [min(limit, count + 2) for count in count_tokens(texts.to_list())]
    return sum(counts) / max(1, len(counts))


def _mean_chars(texts: pl.Series, limit: int) -> float:
    mean = texts.fill_null("").str.len_chars().clip(upper_bound=limit).mean()
    return float(mean or 0.0)  # type: ignore[arg-type]
