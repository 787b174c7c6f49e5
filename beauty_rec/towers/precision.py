"""In what the trainings of the towers compute."""

import torch

from beauty_rec.retriever.encoding.precision import reduced_precision


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context of a tower's forward passes: bfloat16 on a GPU that has it, if wanted.

    On a CPU, and in float16, which would need its gradients scaled, it changes nothing.

    Args:
        device: that the tower computes on.
        precision: ``encoder.precision``.
    """
    reduced = None if device.type == "cpu" else reduced_precision(precision, device)
    return torch.autocast(device.type, torch.bfloat16, enabled=reduced == torch.bfloat16)
