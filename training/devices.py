"""The devices that a run is trained on, and its processes: one to a device (see processes.py).

Lightning Fabric starts the processes on this machine and tells which device is whose; or torchrun has started
them, on this machine and others, and Fabric joins them. It is imported only where there are several.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

import torch

LONGEST_WAIT = timedelta(hours=1)
"""Of a process for the others, as while one reads pictures or saves."""
FROM_ENVIRONMENT = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
"""Where machines find each other, unless torchrun arranges it."""


@dataclass(frozen=True)
class Devices:
    """How many devices of one kind train together."""

    kind: str
    """cpu or cuda."""
    each: int
    """On every machine."""
    nodes: int
    """Machines."""

    def __str__(self) -> str:
        """Return `cpu`, or e.g. `2 x 8 cuda` for two machines."""
        nodes = f"{self.nodes} x " if self.nodes > 1 else ""
        return self.kind if self.count == 1 else f"{nodes}{self.each} {self.kind}"

    @property
    def count(self) -> int:
        """Return how many there are in all."""
        return self.each * self.nodes


@dataclass(frozen=True)
class Place:
    """Where this process trains."""

    device: torch.device
    local_rank: int
    """Which of its machine's processes it is, from 0."""


def wanted(kind: str, each: int | None, nodes: int | None) -> Devices:
    """Return the devices that were asked for, by options or by torchrun.

    Raises:
        ValueError: there are fewer; or options and torchrun, or options and environment, do not agree.
    """
    if torch.distributed.is_torchelastic_launched():
        started = int(os.environ["LOCAL_WORLD_SIZE"])
        machines = int(os.environ["WORLD_SIZE"]) // started
        for option, given, found in (("devices", each, started), ("nodes", nodes, machines)):
            if given not in (None, found):
                raise ValueError(f"--{option} {given}: torchrun says {found}; leave --{option} out")
        each, nodes = started, machines
    devices = Devices(kind, each or 1, nodes or 1)
    there = torch.cuda.device_count()
    if kind == "cuda" and devices.each > there:
        option = f"--devices {devices.each}" if there else "--device cuda"
        raise ValueError(f"{option}: this machine has {there} GPUs")
    lacking = [name for name in FROM_ENVIRONMENT if name not in os.environ]
    if devices.nodes > 1 and lacking and not torch.distributed.is_torchelastic_launched():
        raise ValueError(f"--nodes {devices.nodes}: {', '.join(lacking)} must be set in the environment")
    return devices


def check_alone(command: str) -> None:
    """Refuse to run a command of one process in several.

    Raises:
        ValueError: torchrun started this process.
    """
    if torch.distributed.is_torchelastic_launched():
        raise ValueError(f"{command}: works in one process; torchrun is for `fit`")


def join(devices: Devices, batch_size: int) -> Place:
    """Start the other processes of the run, or join those that were started; return this one's place.

    Raises:
        ValueError: a batch cannot be shared out equally.
    """
    if devices.count == 1:
        return Place(torch.device(devices.kind), 0)
    if batch_size % devices.count:
        raise ValueError(
            f"--batch-size {batch_size}: {devices.count} processes (devices x nodes) cannot share it equally"
        )
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    threads = min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // devices.each))
    strategy = DDPStrategy(timeout=LONGEST_WAIT)
    fabric = Fabric(
        accelerator=devices.kind, strategy=strategy, devices=devices.each, num_nodes=devices.nodes
    )
    started_by_fabric = not torch.distributed.is_torchelastic_launched() and "LOCAL_RANK" in os.environ
    if started_by_fabric:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    fabric.launch()
    torch.set_num_threads(threads)
    return Place(fabric.device, fabric.local_rank)


def _end_with(parent: int) -> None:
    """End this process once the one that started it has ended, in whatever way."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
