"""Reads synthetic reviews with a language model server, as a process that tests can kill.

Prints one JSON line: the reading's counts, and by how much the resident memory grew at its peak.
"""

import argparse
import json
import sys
from pathlib import Path

import polars as pl
import psutil

from beauty_rec.keywords.extractor import extract_keywords
from beauty_rec.keywords.llm import LanguageModelExtractor
from beauty_rec.keywords.rules import RulesExtractor
from beauty_rec.language.reader import Reader
from beauty_rec.orchestration.stage.measure import measure
from beauty_rec.settings import LanguageSettings

FILLER = "It came in a small box and I have used it for some weeks now, every other day. " * 4


def reviews(rows: int) -> pl.DataFrame:
    """``rows`` different reviews, each with a keyword of its own to be answered."""
    return pl.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(rows)],
            "parent_asin": [f"B{i % 100}" for i in range(rows)],
            "title": [f"Review {i}" for i in range(rows)],
            "text": [f"keyword: w{i} {FILLER}" for i in range(rows)],
        }
    )


def right(found: pl.DataFrame) -> int:
    """How many rows have exactly the keyword of their review, from the model."""
    wanted = [[f"w{i[1:]}"] for i in found["review_id"]]
    given = found["why"].to_list()
    by_model = found["source"].str.starts_with("stub/")
    return sum(w == g and m for w, g, m in zip(wanted, given, by_model, strict=True))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int)
    parser.add_argument("settings", help="of the language model, JSON")
    options = parser.parse_args(arguments)
    settings = LanguageSettings.model_validate_json(options.settings)
    source = options.folder / "reviews.parquet"
    options.folder.mkdir(parents=True, exist_ok=True)
    reviews(options.rows).write_parquet(source)
    with Reader(settings, options.folder) as reader:
        extractor = LanguageModelExtractor(reader, RulesExtractor())
        RulesExtractor().read("warm", "up")
        before = psutil.Process().memory_info().rss
        with measure() as cost:
            found = extract_keywords(pl.scan_parquet(source), extractor)
        assert extractor.usage is not None
        told = {
            **extractor.usage.metadata(),
            "rows": found.height,
            "right": right(found),
            "grown_mb": cost["peak_memory_mb"] - before / 2**20,
        }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
