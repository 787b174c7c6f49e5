"""The item texts as they would have been at some moments of train."""

from collections.abc import Iterable, Iterator

import polars as pl

from beauty_rec.items.text import CountTokens, merge_items, word_background
from beauty_rec.settings import ItemTextSettings


def past_texts(
    moments: Iterable[tuple[int, pl.DataFrame]],
    items: pl.DataFrame,
    reviews: pl.DataFrame,
    keywords: pl.DataFrame,
    settings: ItemTextSettings,
    count_tokens: CountTokens,
) -> Iterator[tuple[int, pl.DataFrame, pl.DataFrame]]:
    """Yield each moment, its attributes, and ``parent_asin, title, text`` of what had a text.

    Keywords are held against those of before the first moment, whatever the moment is: an item that
    nothing new was said of keeps its text, which needs no second vector.

    Args:
        moments: Unix ms, ascending, and the attributes of the items known before each.
        items: ``raw_items``.
        reviews: train rows of ``split_reviews``.
        keywords: ``keywords[train]``, oldest first.
        settings, count_tokens: as for :class:`beauty_rec.items.text.ItemTextBuilder`.
    """
    times = reviews.select("review_id", "timestamp")
    said = keywords.join(times, on="review_id", how="inner", maintain_order="left")
    texts = pl.DataFrame(schema=dict.fromkeys(("parent_asin", "title", "text"), pl.String))
    background = since = None
    for until_ms, attributes in moments:
        before = said.filter(pl.col("timestamp") < until_ms)
        background = background or word_background(before)
        changed = attributes["parent_asin"]
        if since is not None:
            changed = before.filter(pl.col("timestamp") >= since)["parent_asin"].unique()
        named = pl.col("parent_asin").is_in(changed.implode())
        made = merge_items(
            items.filter(named),
            attributes.filter(named),
            before.filter(named),
            settings,
            count_tokens,
            background,
        ).select(texts.columns)
        texts = pl.concat([texts.filter(~named), made]).sort("parent_asin")
        since = until_ms
        yield until_ms, attributes, texts
