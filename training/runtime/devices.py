"""The device that this process trains on, and its joining the other processes of the run.

torchrun starts one process for each device (docs/devices.md); what they do together is in distributed.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
from torch import distributed

LONGEST_WAIT = timedelta(hours=1)
"""Of a process for the others, as while one reads images or saves."""
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Place:
    """Where this process trains."""

    device: torch.device
    local_rank: int = 0
    """Which of its machine's processes it is, from 0."""
    processes: int = 1
    """That train together, on all machines."""

    def __str__(self) -> str:
        """Return `cpu`, or e.g. `8 cuda` where eight processes train together."""
        return self.device.type if self.processes == 1 else f"{self.processes} {self.device.type}"


def check_alone(command: str) -> None:
    """Refuse to run a command of one process in several.

    Raises:
        ValueError: torchrun started this process.
    """
    if distributed.is_torchelastic_launched():
        raise ValueError(f"{command}: works in one process; torchrun is for `fit`")


def join(kind: str, batch_size: int) -> Place:
    """Join the processes that torchrun has started, if it has; return this one's place.

    Args:
        kind: cpu or cuda.
        batch_size: of the run, which all of them share.

    Raises:
        ValueError: a batch cannot be shared out equally, or the machine has too few GPUs.
    """
    processes = int(os.environ["WORLD_SIZE"]) if distributed.is_torchelastic_launched() else 1
    if processes == 1:
        if kind == "cuda" and not torch.cuda.device_count():
            raise ValueError("--device cuda: this machine has 0 GPUs")
        return Place(torch.device(kind))
    here, local_rank = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    if batch_size % processes:
        raise ValueError(f"--batch-size {batch_size}: {processes} processes cannot share it equally")
    if kind == "cuda" and here > torch.cuda.device_count():
        raise ValueError(
            f"torchrun --nproc-per-node {here}: this machine has {torch.cuda.device_count()} GPUs"
        )
    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // here)))
    device = torch.device(kind, local_rank) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(BACKENDS[kind], timeout=LONGEST_WAIT)
    return Place(device, local_rank, processes)


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
