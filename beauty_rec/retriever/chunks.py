"""How many tokens of a batch a training holds at once: what the device's memory has room for."""

from functools import partial

import torch

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.settings import FineTuneSettings
from beauty_rec.training.activations import kept_bytes

WITHOUT_GPU = 8_192
"""Tokens of 32 pairs of texts of 128: a batch of the packaged encoder is one chunk."""
_MEASURED = 256
"""Tokens of the texts by which it is measured what one token takes."""


def chunk_tokens(encoder: TextEncoder, settings: FineTuneSettings) -> int:
    """Return the tokens, padding included, of a chunk: as set, or by the device and its memory."""
    device = encoder.model.device
    if settings.chunk_tokens is not None or device.type != "cuda":
        return settings.chunk_tokens or WITHOUT_GPU
    # PyTorch before 2.8 does not say which share of the memory `gpu.memory_share` left.
    share = getattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 1.0)(device)
    memory = share * torch.cuda.get_device_properties(device).total_memory
    return tokens_that_fit(memory, learning_bytes(encoder.model), kept_per_token(encoder))


def tokens_that_fit(memory: float, learning: float, kept: float) -> int:
    """Return the tokens whose activations take half of what the weights leave of the memory.

    The other half is for what comes and goes: gradients of activations, copies of weights in the
    reduced precision, what the allocator cannot use. It is the card's whole memory that counts, not
    what is free of it now: a resumed training cuts its batches as the killed one did.

    Args:
        memory: bytes of the device.
        learning: bytes of the weights and of what AdamW needs, see :func:`learning_bytes`.
        kept: bytes of one token's activations, see :func:`kept_per_token`.

    >>> tokens_that_fit(24e9, 9e9, 1.5e6)
    5000
    """
    return max(1, int((memory - learning) / 2 / kept))


def learning_bytes(model: torch.nn.Module) -> int:
    """Return the bytes of float32 weights, and of gradients and two moments of those trained."""
    return sum(4 * p.numel() * (4 if p.requires_grad else 1) for p in model.parameters())


def kept_per_token(encoder: TextEncoder) -> float:
    """Return the bytes that a training keeps of each token for the backward pass, measured here.

    Two texts less one: what a pass keeps of the weights falls out.
    """
    model = encoder.model
    was_training = model.training
    model.train()  # dropout keeps its masks
    limit = min(_MEASURED, encoder.max_item_tokens)
    features = [encoder.features(["a " * limit] * texts, limit) for texts in (1, 2)]
    with encoder.mixed_precision():
        kept = [kept_bytes(model, partial(model, given)) for given in features]
    model.train(was_training)
    return (kept[1] - kept[0]) / features[0]["input_ids"].shape[1]
