"""`beauty-rec plan`: what it counts, what it knows without weights, and that it writes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beauty_rec.cli import app
from beauty_rec.cli.plan.data import DataAtHand
from beauty_rec.cli.plan.make import LastRun
from beauty_rec.cli.plan.rates import Rates, measured
from beauty_rec.cli.plan.shapes import shape_of
from beauty_rec.cli.plan.stages import Line, embeddings, fine_tuning, item_tower, text_retriever
from beauty_rec.retriever.model_files import EncoderUnavailable
from beauty_rec.sample import write_sample
from beauty_rec.settings import ItemTowerSettings, SampleSettings, Settings
from beauty_rec.towers.items.titles import load_title_reader

SHOP = DataAtHand(
    reviews=1_300_000, train_reviews=1_040_000, items=112_590, described_items=112_590,
    pairs=1_000_000, item_tokens=100, query_tokens=50, positive_tokens=100, title_tokens=20,
    review_chars=200, item_chars=200, titles=110_000, parquet_bytes=10**9, seconds={},
)  # fmt: skip


def test_it_counts_and_times_and_builds_nothing(tmp_path: Path, tiny_model: Path) -> None:
    files = write_sample(tmp_path / "input", SampleSettings(reviews=300, items=60, seed=2))
    named = [f"--set=encoder.model={tiny_model}", f"--set=item_tower.title_encoder={tiny_model}"]
    inputs = [f"--reviews={files.reviews}", f"--items={files.items}"]
    said = CliRunner().invoke(app, ["plan", f"--data-dir={tmp_path / 'data'}", *inputs, *named])
    assert said.exit_code == 0, said.output
    assert "300 reviews (240 train), 60 items" in said.stdout
    assert "measured here on cpu" in said.stdout
    assert said.stdout.count("M parameters") == 1  # one model does both
    assert "text_retriever" in said.stdout
    assert not (tmp_path / "data").exists()


def test_without_a_sample_it_names_what_writes_one(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["plan", f"--data-dir={tmp_path}"])
    assert isinstance(said.exception, FileNotFoundError)
    assert f"beauty-rec data sample --data-dir {tmp_path} writes" in str(said.exception)
    assert "download" not in str(said.exception)


@pytest.mark.parametrize("text", ["{", "[]", '{"dataset": {"reviews": 5}}'])
def test_a_damaged_report_gives_no_rate(text: str, tmp_path: Path) -> None:
    report = tmp_path / "evaluation" / "report.json"
    report.parent.mkdir()
    report.write_text(text)
    last = LastRun.of(report, 100)
    assert last.seconds("user_tower") is None
    assert last.said.startswith(f"no rate: {report} is damaged")


def test_the_presets_models_are_known_without_their_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    encoder = shape_of("BAAI/bge-m3")
    assert (encoder.layers, encoder.width) == (24, 1024)
    assert encoder.parameters == pytest.approx(568e6, rel=0.01)
    with pytest.raises(EncoderUnavailable, match="hf download nobody/none"):
        shape_of("nobody/none")


def test_a_training_of_bge_m3_is_reckoned(tmp_path: Path) -> None:
    """A million pairs, twice, in batches of 256; a checkpoint holds weights, moments and best."""
    data = replace(SHOP, item_tokens=150, positive_tokens=150)
    settings = Settings(data_dir=tmp_path, profile="full", reviews=tmp_path / "any.jsonl")
    encoder = shape_of("BAAI/bge-m3")
    work = fine_tuning(data, settings, encoder)
    assert work.steps == 2 * 3_906
    assert work.tokens == pytest.approx(2 * 1_000_000 * 200, rel=0.001)
    assert work.checkpoint_bytes == 16 * encoder.parameters
    rates = Rates("cuda", "bfloat16", 400_000, 120_000, 0.05, 1_000_000)
    line = text_retriever(data, settings, encoder, rates, 24e9)
    large = text_retriever(data, settings, encoder, rates, 149e9)
    assert line.seconds is not None
    assert large.seconds is not None
    # On the small card a batch goes through the gradient cache, on the large one it is one chunk.
    assert line.seconds - large.seconds == pytest.approx(work.tokens / 400_000)
    assert "gradient cache in chunks of 7,4" in line.work
    assert "gradient cache" not in large.work
    assert 16 * encoder.parameters < line.gpu_memory < 24e9
    assert line.gpu_memory < large.gpu_memory < 149e9
    shared = Settings(data_dir=tmp_path, profile="full", gpu={"memory_share": 0.5})
    assert "gradient cache" in text_retriever(data, shared, encoder, rates, 149e9).work
    assert line.memory > 16 * encoder.parameters  # a checkpoint's copies stand on the host
    assert line.passing_disk == 2 * work.checkpoint_bytes


def test_the_item_tower_of_a_large_shop_takes_the_steps_that_are_its_most(tmp_path: Path) -> None:
    data = replace(SHOP, items=1_000_000)
    settings = Settings(data_dir=tmp_path)
    rates = Rates("cpu", "float32", 1_000, 300, 0.05, 1_000)
    steps = settings.item_tower.max_steps
    line = item_tower(data, settings, shape_of("all-MiniLM-L6-v2"), rates, step=0.5)
    assert line.work.startswith(f"{steps:,} steps")
    titles = data.titles * data.title_tokens / 1_000  # each is read once
    assert line.seconds == pytest.approx(titles + 0.5 * steps)


def test_int8_is_reckoned_where_the_last_run_took_it(tmp_path: Path, tiny_model: Path) -> None:
    """Without a run the hours are the slower ones; the copies of the weights count always."""
    data = replace(SHOP, items=20_000)
    settings, shape = Settings(data_dir=tmp_path), shape_of(str(tiny_model))

    def line(int8: float | None, **last: str) -> Line:
        rates = Rates("cpu", "bfloat16", 1_000, 300, 0.05, 1_000, int8)
        return embeddings(data, settings, shape, rates, last)

    usual, unknown = line(None), line(2_000)
    assert usual.seconds == unknown.seconds == 4_000
    assert "0.556 hours in int8" in unknown.work
    assert "int8" not in usual.work
    assert unknown.memory == usual.memory + 5 * shape.blocks
    both = line(2_000, base_embeddings="int8", item_embeddings="int8")
    one = line(2_000, base_embeddings="int8", item_embeddings="bfloat16")
    assert (both.seconds, one.seconds) == (2_000, 3_000)
    assert one.work.endswith("int8 and bfloat16 by the last run's recall")


def test_int8_is_timed_on_the_models_own_layers(tiny_model: Path) -> None:
    shape = shape_of(str(tiny_model))
    assert measured(shape, "cpu", 20, "bfloat16").int8 is None
    assert (measured(shape, "cpu", 20, "bfloat16", int8=True).int8 or 0) > 0


def test_a_missing_title_encoder_names_its_setting_and_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    wanted = r"item_tower\.title_encoder.*hf download nobody/none"
    with pytest.raises(EncoderUnavailable, match=wanted):
        load_title_reader(["a"], ItemTowerSettings(title_encoder="nobody/none"))


@pytest.fixture(scope="module")
def halved_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as many are published: its weights in float16, its configuration saying so."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path_factory.mktemp("halved")
    AutoModel.from_pretrained(tiny_model, dtype=torch.float16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


def test_titles_are_read_in_float32_however_the_weights_are_stored(halved_model: Path) -> None:
    reader = load_title_reader(["a"], ItemTowerSettings(title_encoder=str(halved_model)))
    assert {str(weights.dtype) for weights in reader.encoder.parameters()} == {"torch.float32"}


def test_a_model_is_timed_in_float32_however_its_weights_are_stored(
    tiny_model: Path, halved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beauty_rec.cli.plan.rates.TIMED", 0.0)
    whole, halved = (
        measured(shape_of(str(folder)), "cpu", 20) for folder in (tiny_model, halved_model)
    )
    assert halved.activation_bytes == whole.activation_bytes
