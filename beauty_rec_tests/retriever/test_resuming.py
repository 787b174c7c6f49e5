"""A training that was killed goes on, and from nothing that is not its own."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from beauty_rec.artifacts import content_hash
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.finetune import fine_tune
from beauty_rec.settings import EncoderSettings
from beauty_rec_tests.retriever.recipe import MakePairs, settings

KILLED = """
import os, signal, sys
from pathlib import Path
import polars as pl, torch
from beauty_rec.retriever import finetune
from beauty_rec.retriever.finetune import fine_tune
from beauty_rec.settings import EncoderSettings, FineTuneSettings

torch.set_num_threads(1)
folder, calls = Path(sys.argv[1]), []

def evaluate(encoder):
    calls.append(1)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(encoder.encode_queries(["good comb"]).sum())

fine_tune(
    pl.read_parquet(folder / "pairs.parquet"),
    EncoderSettings.model_validate_json(sys.argv[2]),
    FineTuneSettings.model_validate_json(sys.argv[3]),
    folder / "resumed", folder / "checkpoints", evaluate,
)
"""


@pytest.mark.slow
def test_a_run_killed_with_sigkill_ends_as_an_uninterrupted_one(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    """With dropout, gradient cache and mined negatives: the same losses, the same bytes."""
    pairs = make_pairs(16)
    recipe = settings(chunk_tokens=40, hard_negatives=1, patience=99)
    pairs.write_parquet(tmp_path / "pairs.parquet")
    arguments = [str(tmp_path), encoder_settings.model_dump_json(), recipe.model_dump_json()]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], check=False, capture_output=True
    )
    assert killed.returncode == -9, killed.stderr.decode()
    checkpoint = list((tmp_path / "checkpoints").glob("step-*"))
    assert len(checkpoint) == 1
    assert not (tmp_path / "resumed").exists()

    calls: list[int] = []

    def evaluate(encoder: TextEncoder) -> float:
        calls.append(1)
        return float(encoder.encode_queries(["good comb"]).sum())

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = fine_tune(
            pairs, encoder_settings, recipe, tmp_path / "whole", tmp_path / "other", evaluate
        )
        asked, calls[:] = len(calls), []
        resumed = fine_tune(
            pairs,
            encoder_settings,
            recipe,
            tmp_path / "resumed",
            tmp_path / "checkpoints",
            evaluate,
        )
    finally:
        torch.set_num_threads(threads)
    assert 0 < len(calls) < asked, "the resumed run must not start anew"
    assert resumed == whole
    assert content_hash(tmp_path / "resumed") == content_hash(tmp_path / "whole")


@pytest.mark.parametrize(("pairs", "judged_by"), [(12, "valid"), (16, "other valid")])
def test_a_checkpoint_of_other_data_is_not_resumed(
    make_pairs: MakePairs,
    encoder_settings: EncoderSettings,
    tmp_path: Path,
    pairs: int,
    judged_by: str,
) -> None:
    def interrupt(_: TextEncoder, calls: list[int] = []) -> float:  # noqa: B006
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        fine_tune(
            make_pairs(16),
            encoder_settings,
            settings(checkpoint_minutes=0),
            tmp_path / "t",
            tmp_path / "c",
            interrupt,
            judged_by="valid",
        )
    assert list((tmp_path / "c").glob("step-*"))
    recipe, asked = settings(checkpoint_minutes=0), make_pairs(pairs)

    def judge(_: TextEncoder) -> float:
        return 0.7

    logs = [
        fine_tune(
            asked, encoder_settings, recipe, tmp_path / "t", folder, judge, judged_by=judged_by
        )
        for folder in (tmp_path / "c", tmp_path / "fresh")
    ]
    assert logs[0].evaluations == logs[1].evaluations
    assert logs[0].losses == logs[1].losses
