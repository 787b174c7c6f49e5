"""Fine-tuning by one process, or by several that torchrun starts on this machine."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from beauty_rec.evaluation.retrieval import validation_recall
from beauty_rec.language import watchdog
from beauty_rec.retriever.finetune import fine_tune
from beauty_rec.retriever.model_card import TrainingLog, rows_digest
from beauty_rec.settings import EncoderSettings, FineTuneSettings, child_environment, visible_gpus
from beauty_rec.training.team import joined

_FRAMES = ("pairs", "queries", "items")


def tuned_retriever(
    pairs: pl.DataFrame,
    queries: pl.DataFrame,
    items: pl.DataFrame,
    encoder: EncoderSettings,
    settings: FineTuneSettings,
    target: Path,
    checkpoints: Path,
    gpus: Sequence[int] = (),
) -> TrainingLog:
    """Fine-tune the encoder, see :func:`fine_tune`, in ``settings.processes`` processes.

    Args:
        pairs: to train on.
        queries, items: whose Recall@100 is watched.
        encoder: where it starts; on GPUs, each process takes one.
        settings: hyper-parameters.
        target, checkpoints: folders.
        gpus: numbers of those that several processes may take; none named: all.

    Raises:
        RuntimeError: a process failed, its error is on standard error; or there are fewer GPUs than
            processes.
    """
    if settings.processes == 1:
        return fine_tune(
            pairs,
            encoder,
            settings,
            target,
            checkpoints,
            lambda tuned: validation_recall(tuned, queries, items),
            judged_by=rows_digest(queries, items),
        )
    if encoder.device.startswith("cuda") and 0 < len(gpus) < settings.processes:
        raise RuntimeError(
            f"fine_tune.processes = {settings.processes} take a GPU each, and there are "
            f"{len(gpus)}: set fewer, or let steps use more (gpu.device, gpu.visible_devices)"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".tuning-", dir=target.parent) as name:
        folder = Path(name)
        for kind, frame in zip(_FRAMES, (pairs, queries, items), strict=True):
            frame.write_parquet(folder / f"{kind}.parquet")
        given = {
            "encoder": encoder.model_dump(mode="json"),
            "fine_tune": settings.model_dump(mode="json"),
            "target": str(target.absolute()),
            "checkpoints": str(checkpoints.absolute()),
        }
        (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
        # The watchdog ends them all if this process is killed, or interrupted.
        command = [sys.executable, watchdog.__file__, "/dev/stderr"]
        command += [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={settings.processes}", "-m", __name__, name]
        environment = child_environment(**(visible_gpus(gpus) if gpus else {}))
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as running:
            code = running.wait()
    if code:
        raise RuntimeError(
            f"fine-tuning in {settings.processes} processes ended with code {code}; "
            "what failed stands above. With fine_tune.processes=1 it runs in one"
        )
    return TrainingLog.load(target)


def main(folder: Path) -> None:
    """Be one of the processes."""
    given = json.loads((folder / "given.json").read_text(encoding="utf-8"))
    encoder = EncoderSettings(**given["encoder"])
    pairs, queries, items = (
        pl.read_parquet(folder / f"{kind}.parquet", glob=False) for kind in _FRAMES
    )
    gpu = encoder.device.startswith("cuda")
    with joined(gpu=gpu) as number:
        if gpu:
            encoder = encoder.model_copy(update={"device": f"cuda:{number}"})
        fine_tune(
            pairs,
            encoder,
            FineTuneSettings(**given["fine_tune"]),
            Path(given["target"]),
            Path(given["checkpoints"]),
            lambda tuned: validation_recall(tuned, queries, items),
            judged_by=rows_digest(queries, items),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
