"""A real vLLM reads reviews through the whole graph; run by ``make test-vllm`` alone.

The model is tiny and random, so its keywords say nothing; that they are valid, counted, kept and
never asked twice is what is shown.
"""

import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from beauty_rec.cli import app
from beauty_rec.language.vllm_server import VllmServer
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.sample import write_sample
from beauty_rec.settings import LanguageSettings, SampleSettings
from beauty_rec_tests.language.real.tiny_llama import make_tiny_llama

PYTHON = os.environ.get("VLLM_TEST_PYTHON", "")
REVIEWS = os.environ.get("VLLM_TEST_REVIEWS", "")
ITEMS = os.environ.get("VLLM_TEST_ITEMS", "")
ROWS = int(os.environ.get("VLLM_TEST_ROWS", "300"))
COMMAND = (
    f"{PYTHON} -m vllm.entrypoints.openai.api_server --model {{model}} --dtype bfloat16 "
    "--enforce-eager --structured-outputs-config "
    """'{"backend":"guidance","disable_any_whitespace":true}'"""
)

pytestmark = [
    pytest.mark.llm,
    pytest.mark.timeout(1_800),
]


class Reading:
    """A data folder, a served model, and the command line on both."""

    def __init__(self, folder: Path, encoder: Path, llm: LanguageSettings) -> None:
        self.data = folder / "data"
        self.llm = llm
        items = Path(ITEMS) if ITEMS else None
        if REVIEWS:
            with gzip.open(REVIEWS, "rb") as lines:
                rows = [line for line, _ in zip(lines, range(ROWS), strict=False)]
            reviews = folder / "reviews.jsonl"
            reviews.write_bytes(b"".join(rows))
        else:
            sample = write_sample(folder / "input", SampleSettings(reviews=ROWS, items=120))
            reviews, items = sample.reviews, sample.items
        self.options = [
            f"--data-dir={self.data}",
            f"--reviews={reviews}",
            *([f"--items={items}"] if items else []),
            f"--set=encoder.model={encoder}",
            f"--set=item_tower.title_encoder={encoder}",
            *(f"--set={name}={value}" for name, value in SMALL.items()),
        ]
        self.model = [
            "--set=llm.backend=openai",
            f"--set=llm.base_urls={llm.base_urls[0]}",
            f"--set=llm.model={llm.model}",
            f"--set=llm.in_flight={llm.in_flight}",
        ]

    def run(self, *options: str) -> Result:
        assert self.llm.api_key is not None
        key = {"BEAUTY_REC_LLM__API_KEY": self.llm.api_key.get_secret_value()}
        answer = CliRunner().invoke(app, ["run", *self.options, *options], env=key)
        print(answer.stdout)
        return answer

    def metadata(self, asset: str, split: str | None = None) -> dict[str, Any]:
        with open_instance(self.data) as instance:
            return latest_metadata(instance, dg.AssetKey(asset), split)

    def finished(self) -> float:
        """Requests that the server itself says it has finished."""
        root = self.llm.base_urls[0].removesuffix("/v1")
        text = httpx.get(f"{root}/metrics", timeout=30).text
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith("vllm:request_success_total")
        )

    def sources(self) -> dict[str, int]:
        """Rows of all artifacts that a model can make, by what made them."""
        processed = self.data / "processed"
        paths = [*(processed / "keywords").glob("*.parquet"), processed / "item_attributes.parquet"]
        frames = [pl.read_parquet(path, columns=["source"]) for path in paths]
        return dict(pl.concat(frames)["source"].value_counts().iter_rows())


SMALL = {
    "fine_tune.epochs": 1,
    "fine_tune.frozen_layers": 0,
    "item_tower.epochs": 1,
    "item_tower.min_steps": 60,
    "user_tower.epochs": 1,
    "user_tower.origins": 2,
    "user_tower.uniform_negatives": 64,
    "recommendation.folds": [0.8],
    "ranking.epochs": 2,
    "ranking.trial_seeds": 1,
    "ranking.trial_epochs": 1,
}


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Reading]:
    folder = tmp_path_factory.mktemp("vllm")
    if REVIEWS:
        with gzip.open(REVIEWS, "rt") as lines:
            texts = [json.loads(line)["text"] for line, _ in zip(lines, range(3_000), strict=False)]
    else:
        sample = write_sample(folder / "texts", SampleSettings(reviews=3_000, items=300))
        with gzip.open(sample.reviews, "rt", errors="replace") as lines:  # flaws are part of it
            texts = re.findall(r'"text": "([^"]*)"', lines.read())
    model = make_tiny_llama(folder / "tiny-llama", texts)
    wanted = LanguageSettings(
        backend="openai", model=str(model), serve=True, vllm_command=COMMAND, in_flight=16
    )
    server = VllmServer(wanted, folder / "vllm.log")
    try:
        yield Reading(folder, tiny_model, server.start())
    finally:
        server.stop()


def test_a_real_server_reads_and_switching_back_costs_nothing(reading: Reading) -> None:
    assert reading.run().exit_code == 0
    first = reading.run("--select=keywords+", *reading.model)
    assert first.exit_code == 0
    told = {split: reading.metadata("keywords", split) for split in ("train", "valid", "test")}
    told["items"] = reading.metadata("item_attributes")
    names: tuple[str, ...] = (
        "questions",
        "requests",
        "cached",
        "repaired",
        "quarantined",
        "prompt_tokens",
    )
    names += ("completion_tokens", "tokens_per_second", "llm_seconds", "quarantine_reasons")
    for part, values in told.items():
        print(part, {name: values[name] for name in names})
    questions = sum(told[split]["questions"] for split in ("train", "valid", "test"))
    assert questions >= min(200, 0.8 * ROWS)
    refused = sum(values["quarantined"] for values in told.values())
    assert refused <= 0.01 * questions
    by_model = reading.sources()
    print(by_model)
    assert sum(n for s, n in by_model.items() if s.startswith(reading.llm.model)) >= 0.99 * sum(
        by_model.values()
    )
    asked = reading.finished()
    assert asked == sum(values["requests"] for values in told.values())
    assert reading.run("--select=keywords+", "--set=llm.backend=rules").exit_code == 0
    assert reading.sources().keys() == {"rules/1"}
    assert reading.metadata("keywords", "train")["backend"] == "rules"
    assert reading.run("--select=keywords+", *reading.model).exit_code == 0
    assert reading.sources() == by_model
    assert reading.metadata("keywords", "train")["model"] == reading.llm.model
    assert reading.finished() == asked
