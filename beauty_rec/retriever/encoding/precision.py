"""What numbers an encoder computes in."""

import torch

from beauty_rec.retriever.encoding.quantized_linear import multiplies_int8


def reduced_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """Return what forward passes run in; "auto": what the hardware multiplies in, or None."""
    if precision != "auto":
        return {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    if device.type == "cuda":
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if bfloat16 else torch.float16
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return None
    capabilities = torch.cpu.get_capabilities()
    found = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if found else None


def may_quantize(precision: str, device: torch.device) -> bool:
    """Whether items may be encoded in int8: on a CPU that is faster at it, unless ruled out."""
    return precision == "auto" and device.type == "cpu" and int8_is_faster()


def int8_is_faster() -> bool:
    """Whether this CPU encodes faster in int8 than in bfloat16.

    Not with AMX: its bfloat16 products are so short that int8 saves no more than rounding the rows
    to it takes. This is decided by the instructions and not by a clock, so that vectors stay the
    same from one run to the next.
    """
    return multiplies_int8() and not torch.cpu.get_capabilities().get("amx_bf16")
