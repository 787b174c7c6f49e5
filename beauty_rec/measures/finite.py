"""Weights and vectors are finite: a training that diverged makes no artifact."""

from pathlib import Path

import numpy as np

from beauty_rec.artifacts import check_finite

WEIGHTS = ("model*.safetensors", "titles.safetensors")
VECTORS = ("vectors.npy", "queries.npy")


def refuse_non_finite(artifact: Path) -> None:
    """Raise ValueError, which names the file, if weights or vectors hold NaN or infinity."""
    if not artifact.is_dir():
        return
    for pattern in VECTORS:
        for path in sorted(artifact.rglob(pattern)):
            check_finite(path, np.load(path, mmap_mode="r", allow_pickle=False))
    for pattern in WEIGHTS:
        for path in sorted(artifact.rglob(pattern)):
            _check_weights(path)


def _check_weights(path: Path) -> None:
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as weights:
        for name in sorted(weights.keys()):
            tensor = weights.get_tensor(name)
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise ValueError(f"{path} holds NaN or infinity in {name}")
