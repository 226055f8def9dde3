"""Which arithmetic the networks are trained in: bfloat16 where the processor multiplies in it."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def fastest(device: str) -> Precision:
    """Return bfloat16 where `device` (cpu, cuda) has instructions for it.

    Elsewhere it is worked out in float32, and many times slower than that.
    """
    if device == "cuda":
        has_it = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        has_it = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return "bfloat16" if has_it else "float32"
