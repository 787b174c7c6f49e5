"""A small instructed model reads reviews behind llama.cpp's server; run by ``make test-llm`` alone.

SmolLM2 of 135 M parameters is too small to read well: what is shown is that every answer holds the
schema or is repaired, quarantined and counted, and how far it agrees with the rules.
"""

import gzip
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest

from beauty_rec.keywords.extractor import extract_keywords
from beauty_rec.keywords.llm import LanguageModelExtractor
from beauty_rec.keywords.rules import RulesExtractor
from beauty_rec.keywords.schema import FACETS
from beauty_rec.language.reader import Reader
from beauty_rec.sample import write_sample
from beauty_rec.settings import LanguageSettings, SampleSettings

SERVER = os.environ.get("LLM_TEST_SERVER", "")
MODEL = os.environ.get("LLM_TEST_MODEL", "")
REVIEWS = os.environ.get("LLM_TEST_REVIEWS", "")
ROWS = int(os.environ.get("LLM_TEST_ROWS", "300"))
NAME = "SmolLM2-135M-Instruct"
SLOTS = 2
CONTEXT = 4_096
"""Tokens of one slot: the prompt with its examples takes about 1,000."""

pytestmark = [
    pytest.mark.llm,
    pytest.mark.timeout(7_200),
]


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageSettings]:
    """A served model; its log is kept beside the test's files."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("llm") / "server.log"
    command = [
        *(SERVER, "--model", MODEL, "--alias", NAME, "--host", "127.0.0.1", "--port", str(port)),
        *("--parallel", str(SLOTS), "--ctx-size", str(SLOTS * CONTEXT)),
    ]
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        yield LanguageSettings(
            backend="openai",
            base_urls=(f"http://127.0.0.1:{port}/v1",),
            model=NAME,
            in_flight=SLOTS,
            timeout_s=600,
            max_quarantined_share=1,  # what so small a model fails at is the finding
        )
    finally:
        server.kill()
        server.wait()


def reviews(folder: Path) -> pl.DataFrame:
    """The first rows with a text, as ``review_id, parent_asin, title, text``."""
    source = Path(REVIEWS) if REVIEWS else None
    if source is None:
        source = write_sample(folder, SampleSettings(reviews=2 * ROWS, items=120)).reviews
    rows = []
    with gzip.open(source, "rt", errors="replace") as lines:
        for line in lines:
            try:
                row = json.loads(line)
                rows.append((row["parent_asin"], row["title"], row["text"]))
            except (ValueError, KeyError, TypeError):  # flaws are part of the sample
                continue
            if not (isinstance(rows[-1][2], str) and rows[-1][2].strip()):
                rows.pop()
            if len(rows) == ROWS:
                break
    frame = pl.DataFrame(rows, schema=["parent_asin", "title", "text"], orient="row")
    return frame.with_row_index("n").select(
        pl.format("r{}", "n").alias("review_id"), "parent_asin", "title", "text"
    )


def agreement(by_model: pl.DataFrame, by_rules: pl.DataFrame) -> dict[str, float]:
    """For each facet, precision and recall of the model's words against those of the rules."""
    found: dict[str, float] = {}
    pairs = by_model.join(by_rules, on="review_id", suffix="_rules")
    for facet in FACETS:
        both = model = rules = 0
        for mine, theirs in pairs.select(facet, f"{facet}_rules").iter_rows():
            left = {word for keyword in mine for word in keyword.split()}
            right = {word for keyword in theirs for word in keyword.split()}
            both, model, rules = both + len(left & right), model + len(left), rules + len(right)
        found[f"{facet} precision"] = round(both / max(1, model), 3)
        found[f"{facet} recall"] = round(both / max(1, rules), 3)
    return found


def test_a_small_model_reads_reviews(llm: LanguageSettings, tmp_path: Path) -> None:
    asked = reviews(tmp_path / "input")
    rules = RulesExtractor()
    with Reader(llm, tmp_path / "language") as reader:
        extractor = LanguageModelExtractor(reader, rules)
        found = extract_keywords(asked.lazy(), extractor)
        assert extractor.usage is not None
        usage = extractor.usage.metadata()
        again = extract_keywords(asked.lazy(), extractor)
        assert extractor.usage.requests == 0  # what was answered is not asked twice
    new = usage["questions"] - usage["repeated_texts"]
    valid = new - usage["quarantined"]
    by_model = found.filter(pl.col("source").str.starts_with(NAME))
    texts = asked.select("review_id", said=pl.concat_str("title", "text", separator=" "))
    words = by_model.join(texts, on="review_id").select(
        "said", keyword=pl.concat_list(*FACETS)
    ).explode("keyword").drop_nulls()  # fmt: skip
    grounded = [
        all(word in said.lower() for word in keyword.split()) for said, keyword in words.iter_rows()
    ]
    print(
        json.dumps(
            {
                **usage,
                "valid_at_first": round((valid - usage["repaired"]) / max(1, new), 4),
                "valid_share": round(valid / max(1, new), 4),
                "repaired_share": round(usage["repaired"] / max(1, new), 4),
                "quarantined_share": round(usage["quarantined"] / max(1, new), 4),
                "agreement": agreement(by_model, rules.read_frame(asked)),
                "keywords": len(grounded),
                "keywords_in_the_review": round(sum(grounded) / max(1, len(grounded)), 3),
                "without_any_keyword": by_model.filter(
                    pl.all_horizontal(pl.col(facet).list.len() == 0 for facet in FACETS)
                ).height,
            },
            indent=1,
        )
    )
    for row in by_model.join(texts, on="review_id").head(12).iter_rows(named=True):
        print(row["said"][:100], "->", {facet: row[facet] for facet in FACETS})
    assert again.equals(found)
    assert found.height == asked.height
    assert valid + usage["quarantined"] == new
    assert valid >= 0.9 * new
