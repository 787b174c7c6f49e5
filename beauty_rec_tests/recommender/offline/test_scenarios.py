"""How events are asked: with their text, without it, in the words of their review."""

import polars as pl
import pytest

from beauty_rec.recommender.offline.scenarios import (
    GIVEN,
    asked_events,
    given_texts,
    scenarios_of,
)


def reviews(contexts: list[str | None], texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "review_id": [f"r{row}" for row in range(len(texts))],
            "context": contexts,
            "text": texts,
        },
        schema_overrides={"context": pl.String},
    )


LONG = "a text that is long enough"
WITH = reviews(["wedding", "  ", None, "work"], [f" {LONG} ", "short", LONG, ""])
WITHOUT = reviews([None] * 4, WITH["text"].to_list())


def test_scenarios_are_what_the_data_can_ask() -> None:
    assert scenarios_of(WITH) == ("with_text", "without_text", "review_text")
    assert scenarios_of(WITHOUT) == ("with_text", "without_text")
    assert scenarios_of(reviews([None], [""])) == ("without_text",)
    assert scenarios_of(reviews(["gym"], [""])) == ("with_text", "without_text")
    # Where the reviews' texts are the contexts, they are one scenario.
    assert scenarios_of(WITH, True) == ("with_text", "without_text")


@pytest.mark.parametrize(
    ("frame", "scenario", "asked"),
    [
        (WITH, "with_text", {"r0": "wedding", "r3": "work"}),
        (WITH, "review_text", {"r0": LONG, "r2": LONG}),
        (WITH, "without_text", {"r0": None, "r1": None, "r2": None, "r3": None}),
        (WITHOUT, "with_text", {"r0": LONG, "r2": LONG}),
    ],
)
def test_events_are_asked_with_their_text(
    frame: pl.DataFrame, scenario: str, asked: dict[str, str | None]
) -> None:
    events = frame.select("review_id", "context")
    found = asked_events(events, frame, scenario, 20)  # type: ignore[arg-type]
    assert dict(found.select("review_id", "context").iter_rows()) == asked


def test_a_share_of_train_keeps_its_text_whoever_else_is_there() -> None:
    events = pl.DataFrame(
        {
            "review_id": [f"r{row}" for row in range(2_000)],
            "context": [None if row % 10 == 0 else "gym" for row in range(2_000)],
        }
    )
    found = dict(given_texts(events, 13))
    kept, bare = found["with_text"], found["without_text"]
    assert len(kept) + len(bare) == 2_000
    assert len(kept) / 1_800 == pytest.approx(GIVEN, abs=0.04)
    assert kept["context"].null_count() == 0
    assert bare["context"].null_count() == len(bare)
    part = events.filter(pl.int_range(pl.len()) % 3 == 0).reverse()
    again = dict(given_texts(part, 13))["with_text"]["review_id"]
    assert set(again) == set(kept["review_id"]) & set(part["review_id"])
    other = dict(given_texts(events, 14))["with_text"]["review_id"]
    assert set(other) != set(kept["review_id"])
