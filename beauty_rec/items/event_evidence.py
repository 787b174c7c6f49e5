"""What train events say about an item: counted, and held against what they say of all items."""

import math
from collections.abc import Iterator

import polars as pl

from beauty_rec.events.extras import extra_columns
from beauty_rec.events.item_ranges import item_ranges
from beauty_rec.settings import AttributeSettings

KEYWORD_FIELDS = ("who", "when", "why")
_EVIDENCE = {
    "parent_asin": pl.String,
    "field": pl.String,
    "value": pl.String,
    "n": pl.UInt32,
    "events": pl.UInt32,
}
_NO_BUYERS = frozenset({"user_id"})


def train_only(reviews: pl.DataFrame) -> pl.DataFrame:
    """Return ``reviews``.

    Raises:
        ValueError: a row is of another split than train: nothing held out may reach an item.
    """
    if "split" in reviews.columns and (reviews["split"] != "train").any():
        raise ValueError("item attributes are made of train reviews; other rows were given")
    return reviews


def telling_keywords(
    reviews: pl.DataFrame, keywords: pl.DataFrame | pl.LazyFrame | None, settings: AttributeSettings
) -> pl.DataFrame:
    """Return what :func:`telling` says of the keywords of reviews, those of some items at a time.

    Twice over all of them: what all items say is held against what each one says.
    """
    parts = [telling(pl.DataFrame(schema=_EVIDENCE), settings)]
    if keywords is None:
        return parts[0]
    said = _distinct_keywords(keywords.lazy(), reviews.select("review_id"))
    events = said.select(pl.len()).collect(engine="streaming").item()
    totals = said.explode("value").group_by("value").agg(total=pl.len())
    share = totals.select("value", q=pl.col("total") / max(1, events)).collect(engine="streaming")
    for within in item_ranges(pl.Series([], dtype=pl.String), keywords.lazy()):
        own = _keyword_evidence(said.filter(within).collect())
        parts.append(_kept(own.join(share, on="value", how="left"), settings))
    return pl.concat(parts)


def _distinct_keywords(keywords: pl.LazyFrame, reviews: pl.DataFrame) -> pl.LazyFrame:
    """Return (parent_asin, value list[str]): what each of some reviews says, if it says any."""
    nothing = pl.lit([], dtype=pl.List(pl.String))
    said = pl.concat_list(pl.col(field).fill_null(nothing) for field in KEYWORD_FIELDS)
    rows = keywords.join(reviews.lazy(), on="review_id", how="semi")
    rows = rows.select("parent_asin", value=said.list.drop_nulls().list.unique())
    return rows.filter(pl.col("value").list.len() > 0)


def _keyword_evidence(said: pl.DataFrame) -> pl.DataFrame:
    """Return (parent_asin, field="keywords", value, n, events).

    n of an item's reviews have the keyword; ``events`` of them have any.
    """
    events = said.group_by("parent_asin").agg(events=pl.len())
    counts = said.explode("value").group_by("parent_asin", "value").agg(n=pl.len())
    counts = counts.with_columns(field=pl.lit("keywords")).join(events, on="parent_asin")
    return counts.select(list(_EVIDENCE)).cast({"n": pl.UInt32, "events": pl.UInt32})


def event_evidence(
    reviews: pl.DataFrame,
    profiles: pl.DataFrame | None,
    settings: AttributeSettings,
    steps: dict[str, float] | None = None,
) -> pl.DataFrame:
    """Return (parent_asin, field, value, n, events).

    n of an item's events have the value; ``events`` of them have any value of the field.
    Fields: ``context``, each categorical key of ``extras``, and ``buyer_<column>`` for each column
    of the buyers' profiles, numbers as bands of the widths ``steps`` (:func:`buyer_steps` of
    ``reviews`` where not given).
    """
    columns = _columns(reviews, profiles, steps)
    parts = [_count(column) for column in columns if _categorical(column, settings)]
    return pl.concat(parts) if parts else pl.DataFrame(schema=_EVIDENCE)


def _columns(
    reviews: pl.DataFrame, profiles: pl.DataFrame | None, steps: dict[str, float] | None
) -> Iterator[pl.DataFrame]:
    """Yield (parent_asin, field, value) of one field after the other."""
    if "context" in reviews:
        yield _values(reviews, "context", pl.col("context"))
    if "extras" in reviews.columns:
        said = reviews.select("parent_asin", "extras").drop_nulls()
        for key, values in extra_columns(said["extras"], _scalar):
            yield _values(said.with_columns(said=values), key, pl.col("said"))
    if profiles is not None:
        widths = buyer_steps(reviews, profiles) if steps is None else steps
        events = reviews.select("parent_asin", "user_id")
        for field, labels in buyer_labels(profiles, widths).items():
            yield _values(events.join(labels, on="user_id", how="left"), field, pl.col("label"))


def buyer_steps(reviews: pl.DataFrame, profiles: pl.DataFrame) -> dict[str, float]:
    """Return the width of a band for each numeric column of ``profiles``, in its own unit.

    About five bands between the 5th and the 95th percentile of the buyers in ``reviews``, rounded
    to 1, 2 or 5 times a power of ten, so that a later run draws the same bands.
    """
    buyers = profiles.join(reviews.select("user_id").unique(), on="user_id", how="semi")
    steps: dict[str, float] = {}
    for name, dtype in profiles.schema.items():
        if not dtype.is_numeric():
            continue
        values = buyers[name].alias("value").drop_nans().drop_nulls()
        if values.is_empty():
            continue
        low, high = values.quantile(0.05), values.quantile(0.95)
        width = ((high or 0.0) - (low or 0.0)) / 5
        if width > 0:
            power = 10.0 ** math.floor(math.log10(width))
            steps[name] = min((1, 2, 5, 10), key=lambda m: abs(m * power - width)) * power
    return steps


def band(value: float, step: float) -> str:
    """Return the band of ``value``: ``band(162, 5)`` is "160–165", closed below, open above."""
    low = math.floor(value / step + 1e-9) * step
    return f"{_plain(round(low, 9))}–{_plain(round(low + step, 9))}"


def buyer_labels(profiles: pl.DataFrame, steps: dict[str, float]) -> dict[str, pl.DataFrame]:
    """Return for each profile column its ``buyer_<column>`` frame of user_id and label."""
    labels: dict[str, pl.DataFrame] = {}
    for name, dtype in profiles.schema.items():
        own = profiles[name].alias("own")  # a column's methods take "^…$" for a pattern of names
        if dtype == pl.String and name not in _NO_BUYERS:
            label = own.str.strip_chars().str.to_lowercase()
        elif name in steps:
            step = steps[name]
            values = own.fill_nan(None)
            bands = {v: band(v, step) for v in values.drop_nulls().unique()}
            label = pl.Series([bands.get(v) for v in values], dtype=pl.String)
        else:
            continue
        labels[f"buyer_{name}"] = pl.DataFrame({"user_id": profiles["user_id"], "label": label})
    return labels


def telling(evidence: pl.DataFrame, settings: AttributeSettings) -> pl.DataFrame:
    """Return (parent_asin, field, values list[str]): what sets an item apart, most telling first.

    With c of an item's n events and the share q of all events saying a value, p = (c + m q) /
    (n + m) shrinks the item's share to the background's (m = ``smoothing``). A value is kept when
    p / q ≥ ``min_lift`` and either c ≥ ``min_event_count`` or at least half of the events say it;
    kept values are ordered by p log(p / q), their share of the Kullback-Leibler divergence, and
    capped at ``max_values`` (keywords at five times that).
    """
    keys = ["parent_asin", "field"]
    n, events = pl.col("n").cast(pl.Float64), pl.col("events").cast(pl.Float64)
    share = n.sum().over(["field", "value"]) / (events / pl.len().over(keys)).sum().over("field")
    return _kept(evidence.with_columns(q=share), settings)


def _kept(evidence: pl.DataFrame, settings: AttributeSettings) -> pl.DataFrame:
    """Return what :func:`telling` does of evidence whose column ``q`` is the background."""
    keys = ["parent_asin", "field"]
    m = settings.smoothing
    n, events = pl.col("n").cast(pl.Float64), pl.col("events").cast(pl.Float64)
    cap = pl.when(pl.col("field") == "keywords").then(5).otherwise(1) * settings.max_values
    scored = (
        evidence.with_columns(p=(n + m * pl.col("q")) / (events + m))
        .with_columns(score=pl.col("p") * (pl.col("p") / pl.col("q")).log())
        .filter(
            (pl.col("p") >= settings.min_lift * pl.col("q"))
            & ((n >= settings.min_event_count) | (n * 2 >= events))
        )
        .sort([*keys, "score", "value"], descending=[False, False, True, False])
    )
    kept = scored.filter(pl.int_range(pl.len()).over(keys) < cap)
    return kept.group_by(keys, maintain_order=True).agg(values=pl.col("value"))


def _scalar(value: object) -> str | None:
    if value is None or isinstance(value, bool | str):
        return None if value is None else str(value)
    return _plain(value) if isinstance(value, int | float) else None


def _plain(number: float) -> str:
    """Return a number as text; a whole one in full, since ``:g`` ends after six digits."""
    whole = isinstance(number, int) or number.is_integer()
    return str(int(number)) if whole else f"{number:g}"


def _values(rows: pl.DataFrame, field: str, value: pl.Expr) -> pl.DataFrame:
    text = value.cast(pl.String).str.strip_chars().str.to_lowercase()
    frame = rows.select("parent_asin", field=pl.lit(field), value=text)
    return frame.filter(pl.col("value").is_not_null() & (pl.col("value") != ""))


def _categorical(rows: pl.DataFrame, settings: AttributeSettings) -> bool:
    """Free text and identifiers have many values; a column with one value tells nothing."""
    kinds = rows["value"].n_unique()
    return 2 <= kinds <= min(settings.max_categories, len(rows) / 2)


def _count(rows: pl.DataFrame) -> pl.DataFrame:
    counts = rows.group_by("parent_asin", "field", "value").agg(n=pl.len().cast(pl.UInt32))
    counts = counts.with_columns(events=pl.col("n").sum().over("parent_asin", "field"))
    counts = counts.cast({"events": pl.UInt32})
    return counts.select(list(_EVIDENCE)).sort("parent_asin", "field", "value")
