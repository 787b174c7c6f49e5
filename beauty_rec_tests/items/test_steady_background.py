from pathlib import Path

import polars as pl
import pytest

from beauty_rec.items.keyword_ranking import WordBackground
from beauty_rec.items.steady_background import steady_background
from beauty_rec.items.text import word_background
from beauty_rec_tests.harm import ODD_JSON


def said(count: int, later: str = "soft", first: int = 0) -> pl.DataFrame:
    """Keywords of reviews from the ``first`` on; the word of those from the hundredth on."""
    rows = range(first, first + count)
    words = ["rose oil" if row % 2 == 0 else "soft" if row < 100 else later for row in rows]
    return pl.DataFrame(
        {
            "review_id": [f"r{row}" for row in rows],
            "who": [["dry skin"]] * count,
            "when": [[]] * count,
            "why": [
                [word] if row % 2 else ["rose oil"] for row, word in zip(rows, words, strict=True)
            ],
        },
        schema_overrides={"when": pl.List(pl.String)},
    )


def is_of(background: WordBackground, keywords: pl.DataFrame) -> bool:
    own = word_background(keywords)
    return all(background.idf(w) == own.idf(w) for w in ("soft", "rose", "harsh", "oily", "dry"))


def test_it_stands_still_while_train_grows_a_little(tmp_path: Path) -> None:
    path = tmp_path / "background.json"
    first = steady_background(path, said(100))
    assert first.idf("soft") == word_background(said(100)).idf("soft")
    kept = steady_background(path, said(109, "harsh"))
    assert [kept.idf(w) for w in ("soft", "rose", "harsh")] == [
        first.idf(w) for w in ("soft", "rose", "harsh")
    ]


def test_it_is_made_anew_when_outgrown(tmp_path: Path) -> None:
    path = tmp_path / "background.json"
    steady_background(path, said(100))
    assert is_of(steady_background(path, said(110, "harsh")), said(110, "harsh"))


def test_it_is_made_anew_by_other_code(tmp_path: Path) -> None:
    path = tmp_path / "background.json"
    steady_background(path, said(100), "a1")
    assert is_of(steady_background(path, said(105, "harsh"), "b2"), said(105, "harsh"))


def test_it_is_made_anew_when_the_reviews_say_other_things(tmp_path: Path) -> None:
    path = tmp_path / "background.json"
    steady_background(path, said(100))
    other = said(100).with_columns(why=pl.lit(["oily"]))
    assert is_of(steady_background(path, other), other)
    assert is_of(steady_background(path, said(100, first=1_000)), said(100, first=1_000))


def test_it_counts_no_review_that_is_held_out_now(tmp_path: Path) -> None:
    path = tmp_path / "background.json"
    steady_background(path, said(105, "harsh"))
    assert is_of(steady_background(path, said(100)), said(100))
    kept = steady_background(
        path, said(99).filter(pl.col("review_id") != "r7")
    )  # who was forgotten
    assert not is_of(kept, said(99))


@pytest.mark.parametrize("text", ODD_JSON)
def test_it_is_made_anew_where_a_file_of_another_shape_stands(tmp_path: Path, text: str) -> None:
    path = tmp_path / "background.json"
    path.write_text(text)
    assert is_of(steady_background(path, said(100)), said(100))
