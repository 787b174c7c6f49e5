"""What assets read of the reviews."""

import polars as pl

from beauty_rec.corpus.schema import REVIEW_SCHEMA
from beauty_rec.orchestration.stage.partitions import WITH_CONTEXTS, WITHOUT_TEXTS

TEXTS = {"title", "text", "raw_title", "raw_text"}


def test_texts_of_reviews_stay_on_disk_where_none_is_read() -> None:
    reviews = pl.LazyFrame(schema=REVIEW_SCHEMA)
    kept = {*REVIEW_SCHEMA} - TEXTS
    assert set(reviews.select(WITHOUT_TEXTS).collect_schema()) == kept
    assert set(reviews.select(WITH_CONTEXTS).collect_schema()) == {*kept, "text"}
