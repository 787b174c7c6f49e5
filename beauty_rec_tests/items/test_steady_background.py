from pathlib import Path

import polars as pl

from beauty_rec.items.steady_background import steady_background
from beauty_rec.items.text import word_background


def said(count: int, word: str = "soft", source: str = "rules/1") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "who": [["dry skin"]] * count,
            "when": [[]] * count,
            "why": [[word] if row % 2 else ["rose oil"] for row in range(count)],
            "source": [source] * count,
        },
        schema_overrides={"when": pl.List(pl.String)},
    )


def test_it_stands_still_while_train_grows_a_little(tmp_path: Path) -> None:
    path = tmp_path / "background.json"
    first = steady_background(path, said(100))
    assert first.idf("soft") == word_background(said(100)).idf("soft")
    kept = steady_background(path, said(109, "harsh"))
    assert [kept.idf(w) for w in ("soft", "rose", "harsh")] == [
        first.idf(w) for w in ("soft", "rose", "harsh")
    ]


def test_it_is_made_anew_when_outgrown_or_when_others_read(tmp_path: Path) -> None:
    path = tmp_path / "background.json"
    steady_background(path, said(100))
    grown = steady_background(path, said(110, "harsh"))
    assert grown.idf("harsh") == word_background(said(110, "harsh")).idf("harsh")
    other = steady_background(path, said(110, "soft", "model/2"))
    assert other.idf("soft") == word_background(said(110)).idf("soft")
