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
    """Whether items may be encoded in int8: on a CPU that is fast at it, unless ruled out."""
    return precision == "auto" and device.type == "cpu" and multiplies_int8()
