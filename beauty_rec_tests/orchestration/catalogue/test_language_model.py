"""The graph with a language model: which backend made an artifact, and what asking again costs."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from beauty_rec.cli import app
from beauty_rec.cli.doctor import language_model_findings
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.sample import write_sample
from beauty_rec.settings import SampleSettings, Settings
from beauty_rec_tests.language.stub import Stub

KEY = "sk-very-secret"
BY_MODEL = {"stub/keywords-2", "stub/attributes-1+summary-1"}


class Shop:
    """A small shop whose reviews and items a stub model reads."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        files = write_sample(folder / "input", SampleSettings(reviews=200, items=40, seed=3))
        self.inputs = [f"--reviews={files.reviews}", f"--items={files.items}"]
        self.stub = Stub(folder, "--key", KEY)
        self.model = [
            "--set=llm.backend=openai",
            f"--set=llm.base_urls={self.stub.url}",
            "--set=llm.model=stub",
        ]

    def call(self, command: str, *options: str, key: str | None = KEY) -> Result:
        return CliRunner().invoke(
            app,
            [command, f"--data-dir={self.data}", *options],
            env={"BEAUTY_REC_LLM__API_KEY": key} if key else {},
        )

    def run(self, *options: str, key: str | None = KEY) -> Result:
        select = "--select=raw_reviews,raw_items,user_profiles,split_reviews,keywords,"
        return self.call("run", *self.inputs, f"{select}item_attributes", *options, key=key)

    def metadata(self, asset: str, split: str | None = None) -> dict[str, Any]:
        with open_instance(self.data) as instance:
            return latest_metadata(instance, dg.AssetKey(asset), split)

    def sources(self) -> set[str]:
        """Of all artifacts that a model can make."""
        processed = self.data / "processed"
        paths = [*(processed / "keywords").glob("*.parquet"), processed / "item_attributes.parquet"]
        return {source for path in paths for source in pl.read_parquet(path)["source"]}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    yield shop
    shop.stub.kill()


@pytest.fixture(scope="module")
def read(shop: Shop) -> Shop:
    """The shop after a run that its budget stopped, and one that went on to the end."""
    stopped = shop.run(*shop.model, "--set=llm.max_requests=50")
    assert stopped.exit_code == 1
    assert "the budget of 50 requests" in stopped.stdout
    assert "run again to go on" in stopped.stdout
    kept = sqlite3.connect(shop.data / "language" / "answers.sqlite")
    assert kept.execute("SELECT COUNT(*) FROM answers").fetchone()[0] == shop.stub.requests
    finished = shop.run(*shop.model, "--set=llm.max_requests=9999")
    assert finished.exit_code == 0, finished.stdout
    return shop


@pytest.mark.slow
def test_a_budget_stops_and_the_next_run_goes_on(read: Shop) -> None:
    assert read.stub.requests > 50
    assert set(read.stub.asked().values()) == {1}


def test_lineage_tells_who_read(read: Shop) -> None:
    assert read.sources() == BY_MODEL
    metadata = read.metadata("keywords", "valid")
    assert (metadata["backend"], metadata["model"], metadata["prompts"]) == (
        "openai",
        "stub",
        "keywords-2",
    )
    assert metadata["requests"] > 0
    assert metadata["prompt_tokens"] > metadata["completion_tokens"] > 0
    assert metadata["tokens_per_second"] > 0
    assert metadata["examples"].count("\n") == 11  # a head, a rule, ten rows
    assert read.metadata("item_attributes")["rows_by_source"].keys() <= BY_MODEL


@pytest.mark.slow
def test_switching_back_costs_no_request(read: Shop) -> None:
    asked = read.stub.requests
    assert read.run("--set=llm.backend=rules").exit_code == 0
    assert read.sources() == {"rules/1"}
    metadata = read.metadata("keywords", "train")
    assert metadata["backend"] == "rules"
    assert "requests" not in metadata
    back = read.run(*read.model)
    assert "4 built" in back.stdout
    assert read.sources() == BY_MODEL
    metadata = read.metadata("keywords", "train")
    assert metadata["requests"] == 0
    assert metadata["cached"] > 0
    assert read.stub.requests == asked


def test_only_what_shapes_an_answer_makes_stale(read: Shop) -> None:
    same = read.run(*read.model, "--set=llm.in_flight=3", "--dry-run").stdout
    assert "build" not in same
    assert (
        "build   keywords[train]" in read.run(*read.model, "--set=llm.seed=5", "--dry-run").stdout
    )


def test_the_key_is_kept_nowhere(read: Shop) -> None:
    options = ("--set=llm.seed=2", "--partition=test")
    refused = read.run(*read.model, *options, key="sk-wrong-key")
    assert refused.exit_code == 1
    assert "refuses the key" in refused.stdout
    for path in read.data.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert KEY.encode() not in held, path
            assert b"sk-wrong-key" not in held, path


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({}, KEY, "with structured output"),
        ({"model": "other"}, KEY, "no model 'other' (it has: stub): name one of them"),
        ({}, "wrong", "refuses the key: set the right one"),
        ({}, None, "wants a key: set BEAUTY_REC_LLM__API_KEY"),
        ({"base_urls": "{root}"}, KEY, "end in /v1"),
        ({"base_urls": "http://127.0.0.1:9/v1"}, KEY, "nothing answers"),
        ({"serve": True, "vllm_command": "/no/vllm {model}"}, KEY, "no program '/no/vllm'"),
    ],
)
def test_the_doctor_names_the_remedy(
    shop: Shop, changes: dict[str, Any], key: str | None, said: str
) -> None:
    root = shop.stub.url.removesuffix("/v1")
    options = {"backend": "openai", "base_urls": shop.stub.url, "model": "stub", "api_key": key}
    options |= {n: v.replace("{root}", root) if n == "base_urls" else v for n, v in changes.items()}
    settings = Settings(data_dir=shop.data.with_name("other"), llm=options)
    (finding,) = language_model_findings(settings)
    assert said in finding.text
    assert finding.verdict == ("fail" if changes or key != KEY else "ok")


def test_the_doctor_sees_a_server_without_structured_output(tmp_path: Path) -> None:
    stub = Stub(tmp_path, "--plain")
    try:
        options = {"backend": "openai", "base_urls": stub.url, "model": "stub"}
        (finding,) = language_model_findings(Settings(data_dir=tmp_path, llm=options))
        assert finding.verdict == "fail"
        assert "does not hold to response_format json_schema: use vLLM" in finding.text
    finally:
        stub.kill()
