"""Fine-tuning by two processes has the losses of one, and ends with the same weights."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest
from pydantic import ValidationError

from beauty_rec.evaluation.tuning import tuned_retriever
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.settings import EncoderSettings, FineTuneSettings
from beauty_rec_tests.retriever.conftest import make_pairs

__all__ = ["make_pairs"]


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"chunk_tokens": 20, "symmetric": True},
        {"chunk_tokens": 20, "guide_margin": 0.0},
        {"chunk_tokens": 100},  # a whole batch needs the gradient cache, half of one does not
    ],
    ids=["plain", "cached, symmetric", "guided", "cached by one alone"],
)
def test_two_processes_train_as_one(
    changes: dict[str, object],
    make_pairs: Callable[[int], pl.DataFrame],
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    encoder = EncoderSettings(
        model=str(tiny_model),
        max_query_tokens=16,
        max_item_tokens=16,
        precision="float32",
        device="cpu",
    )
    loaded = TextEncoder.load(tiny_model, encoder)
    transformer: Any = loaded.model[0]
    config = transformer.auto_model.config
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0  # whose draws differ
    loaded.save(tmp_path / "still")
    encoder = encoder.model_copy(update={"model": str(tmp_path / "still")})
    # One query an item: every batch is full, and its rows are shared evenly.
    pairs = make_pairs(32).unique("parent_asin", maintain_order=True)
    items = pairs.select("parent_asin", text="positive")
    logs, vectors = [], []
    for processes in (1, 2):
        settings = FineTuneSettings(
            epochs=4,
            batch_size=8,
            learning_rate=1e-3,
            frozen_layers=0,
            processes=processes,
            checkpoint_minutes=0,
            **changes,
        )
        target = tmp_path / f"tuned-{processes}"
        logs.append(tuned_retriever(pairs, pairs, items, encoder, settings, target, tmp_path / "c"))
        vectors.append(TextEncoder.load(target, encoder).encode_items(items["text"].to_list()))
        assert not (tmp_path / "c").exists()
    one, two = logs
    assert len(one.losses) > 10
    np.testing.assert_allclose(two.losses, one.losses, rtol=1e-3)
    assert (two.best_step, two.evaluations) == (one.best_step, one.evaluations)
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-3)
    assert one.losses[-1] < one.losses[0]


ALONE = """
import sys
from pathlib import Path
import polars as pl
from beauty_rec.evaluation import tuning as tuning_of_several
from beauty_rec.evaluation.tuning import tuned_retriever
from beauty_rec.settings import EncoderSettings, FineTuneSettings
folder, model = Path(sys.argv[1]), sys.argv[2]
pairs = pl.read_parquet(folder / "pairs.parquet")
items = pairs.select("parent_asin", text="positive")
settings = FineTuneSettings(epochs=100, batch_size=8, processes=2, patience=100, frozen_layers=0)
encoder = EncoderSettings(model=model, device="cpu")
tuned_retriever(pairs, pairs, items, encoder, settings, folder / "tuned", folder / "c")
"""


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_killed_training_leaves_no_process(
    make_pairs: Callable[[int], pl.DataFrame], tiny_model: Path, tmp_path: Path
) -> None:
    make_pairs(640).write_parquet(tmp_path / "pairs.parquet")
    command = [sys.executable, "-c", ALONE, str(tmp_path), str(tiny_model)]
    training = subprocess.Popen(command, start_new_session=True)
    until(lambda: len(tuning(tmp_path)) >= 3, 120)  # torchrun and its two
    training.kill()
    training.wait()
    until(lambda: not tuning(tmp_path), 40)


def tuning(folder: Path) -> list[int]:
    """The processes that train in a folder, but not the one that asked for it."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if "beauty_rec.evaluation.tuning" in words and str(folder / ".tuning-") in words:
            found.append(process.info["pid"])
    return found


def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def test_a_batch_is_to_be_shared_evenly() -> None:
    with pytest.raises(ValidationError, match="multiple of processes"):
        FineTuneSettings(batch_size=32, processes=3)


def test_processes_see_the_gpus_that_they_may_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Named as the variable of this process names them, which may see some of the machine's."""
    environments = []

    class Started:
        def __init__(self, _: list[str], *, env: dict[str, str], **__: Any) -> None:
            environments.append(env)

        def __enter__(self) -> "Started":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def wait(self) -> int:
            return 0

    monkeypatch.setattr("beauty_rec.evaluation.tuning.subprocess.Popen", Started)
    monkeypatch.setattr("beauty_rec.evaluation.tuning.TrainingLog.load", lambda _: None)
    frame, encoder = pl.DataFrame({"text": ["a"]}), EncoderSettings(device="cuda:1")

    def tune(gpus: list[int]) -> str | None:
        settings, folder = FineTuneSettings(processes=2), tmp_path / "tuned"
        tuned_retriever(frame, frame, frame, encoder, settings, folder, tmp_path / "c", gpus)
        return environments[-1].get("CUDA_VISIBLE_DEVICES")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert tune([1, 3]) == "1,3"
    assert tune([]) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,GPU-7")
    assert tune([1, 3]) == "5,GPU-7"
    with pytest.raises(RuntimeError, match=r"processes = 2 take a GPU each, and there are 1"):
        tune([1])
