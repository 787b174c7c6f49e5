"""``run --profile full`` through the whole graph, on tiny models of the true kinds; no network.

Run by ``make test-full``. The profile's own batch sizes, lengths and trained title encoder stay as
they are; only the epochs and trials are fewer.
"""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import torch

from beauty_rec.cli.inputs import load_settings
from beauty_rec.cli.plan import make_plan, plan_lines
from beauty_rec.cli.plan.shapes import shape_of
from beauty_rec.cli.plan.stages import fine_tuning
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.training.checkpoints import save_checkpoint, weights_of
from beauty_rec_tests.command_line_shop import ALL_SPLITS, SMALL, Shop
from beauty_rec_tests.full import language_server
from beauty_rec_tests.full.tiny_models import make_bge_m3, make_distilbert, make_qwen2

pytestmark = [pytest.mark.full, pytest.mark.timeout(1_200)]
MODEL = "Qwen/Qwen2.5-7B-Instruct"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("full")


@pytest.fixture(scope="module")
def shop(folder: Path) -> Iterator[Shop]:
    """A shop that was built once with ``--profile full``."""
    shop = Shop(folder, folder / "bge-m3")
    texts = _texts(shop.files.reviews)
    make_bge_m3(folder / "bge-m3", texts, folder / "sprung")
    distilbert = make_distilbert(folder / "distilbert", texts)
    qwen = make_qwen2(folder / "qwen2", texts)
    command = [sys.executable, language_server.__file__, str(qwen), "--name", MODEL]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        shop.settings = [
            f"encoder.model={folder / 'bge-m3'}",
            f"item_tower.title_encoder={distilbert}",
            "llm.backend=openai",
            f"llm.base_urls=http://127.0.0.1:{port}/v1",
            *(setting for setting in SMALL if "frozen_layers" not in setting),
        ]
        statuses = shop.run("--profile", "full")
        assert set(statuses.values()) == {"built"}, statuses
        yield shop
    finally:
        server.kill()
        server.wait()


def _texts(reviews: Path) -> list[str]:
    texts = []
    with gzip.open(reviews, "rt", errors="replace") as lines:
        for line in lines:
            try:
                text = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError):  # flaws are part of the sample
                continue
            texts += [text] if isinstance(text, str) else []
    return texts


def test_the_whole_graph_is_built_and_then_fresh(shop: Shop) -> None:
    assert set(shop.run("--profile", "full").values()) == {"fresh"}


def test_every_model_did_its_part(shop: Shop) -> None:
    facts = shop.facts("text_retriever")
    assert facts["steps"] >= 1
    report = json.loads((shop.data / "evaluation" / "report.json").read_text())
    assert report["retrieval"]["test"]["text_retriever"]["queries"] > 0
    keywords = pl.read_parquet(shop.data / "processed" / "keywords" / "train.parquet")
    by_model = keywords["source"].str.starts_with(MODEL)
    assert by_model.sum() > 0.95 * len(by_model)
    # DistilBERT was trained along, so the tower keeps its own copy.
    assert (shop.data / "models" / "item_tower" / "titles.safetensors").exists()
    retriever = shop.data / "models" / "text_retriever"
    pooling = json.loads((retriever / "1_Pooling" / "config.json").read_text())
    assert "cls" in json.dumps(pooling)
    assert (retriever / "model.safetensors").exists()


def test_no_pickle_is_loaded_or_written(shop: Shop, folder: Path) -> None:
    assert not (folder / "sprung").exists()
    models = shop.data / "models"
    assert not [path for kind in ("*.bin", "*.pt", "*.pkl") for path in models.rglob(kind)]


def test_a_shopper_gets_an_answer(shop: Shop) -> None:
    found = shop.call("search", "a cream for dry skin", "--json")
    assert found.exit_code == 0
    assert len(json.loads(found.stdout)["items"]) == 10
    answer = shop.call("recommend", "--context", "a gift for my sister", "--json")
    assert answer.exit_code == 0, answer.output


def test_the_plan_says_what_the_run_then_did(shop: Shop) -> None:
    settings = load_settings(shop.data)
    plan = make_plan(settings)
    tuned = shop.facts("text_retriever")
    work = fine_tuning(plan.data, settings, plan.encoder)
    # Of so few items batches end early: two pairs of a review, too, share none.
    assert work.steps / 2 <= tuned["steps"] <= 2 * work.steps
    assert plan.data.pairs == pytest.approx(tuned["pairs"], rel=0.1)
    assert plan.data.items == shop.facts("item_vectors")["dagster/row_count"]
    # The sample is read by the rules; this model finds two keywords a facet, so texts are shorter.
    made = shop.facts("merged_items")["mean_tokens"] + 2
    assert made <= plan.data.item_tokens <= 1.5 * made
    lines = {line.asset: line for line in plan.lines}
    weights = (shop.data / "models" / "text_retriever" / "model.safetensors").stat().st_size
    assert lines["text_retriever"].disk == pytest.approx(weights, rel=0.1)
    assert f"{shop.facts('item_tower')['steps']:,} steps" in lines["item_tower"].work
    reading = [shop.facts("keywords", split) for split in ALL_SPLITS] + [
        shop.facts("item_attributes")
    ]
    asked = sum(facts["prompt_tokens"] + facts["completion_tokens"] for facts in reading)
    questions = sum(facts["questions"] for facts in reading)
    said = lines["keywords, item_attributes (language model)"]
    print(said.work, asked, questions)
    assert said.seconds is not None
    shown = "\n".join(plan_lines(plan))
    print(shown)
    assert "measured here on" in shown
    assert "?" not in shown  # after a run every stage has its rate


def test_a_checkpoint_is_as_large_as_planned(shop: Shop, tmp_path: Path) -> None:
    settings = load_settings(shop.data)
    encoder = TextEncoder.load(settings.encoder.model, settings.encoder)
    optimizer = torch.optim.AdamW(encoder.model.parameters())
    loss = sum((p.float() ** 2).sum() for p in encoder.model.parameters())
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    optimizer.step()
    best = weights_of(encoder.model)
    save_checkpoint(tmp_path, 1, encoder.model, optimizer, "0", {}, best)
    written = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    planned = fine_tuning(make_plan(settings).data, settings, shape_of(settings.encoder.model))
    assert planned.checkpoint_bytes == pytest.approx(written, rel=0.05)
