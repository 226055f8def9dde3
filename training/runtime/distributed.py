"""The processes that train one run together, one to a device; torchrun starts them, devices.py joins them.

Each holds all networks and its share of every batch: the first its first rows, the next the following ones.
What is drawn at random is drawn for the whole batch by all of them alike, and each keeps its rows of it. What
depends on more than one image (batch normalisation, MMD, a buffer of fakes) is worked out from the rows of
all. So several processes do what one would do with the same batch, within rounding.

Gradients are averaged between the backward pass and the optimiser's step (`Recipe.step`), and networks are
not wrapped in `DistributedDataParallel`: its hooks expect one forward pass of one network before every
backward pass and do not see `torch.autograd.grad`, whereas an adversarial update passes two networks several
times and penalises gradients. One sum of all gradients in a row is right for every recipe.

In one process everything here returns what it was given. The group of processes is torch.distributed's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable

Made = TypeVar("Made")


class Abandoned(Exception):
    """Another process of the run has ended, for a reason that it reports itself."""


def count() -> int:
    """Return how many processes train together, on all machines."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return which of them this is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Return whether this is the one that writes, prints and judges."""
    return rank() == 0


def shard(rows: Tensor) -> Tensor:
    """Return this process's rows of those of a whole batch."""
    return rows if count() == 1 else rows.chunk(count())[rank()]


def pad_to_global(rows: Tensor) -> Tensor:
    """Return rows for a whole batch that are zero but for this process's, which are those given."""
    if count() == 1:
        return rows
    whole = rows.new_zeros(count() * len(rows), *rows.shape[1:])
    shard(whole).copy_(rows)
    return whole


def all_gather(rows: Tensor) -> Tensor:
    """Return the rows of all processes in their order, (count * N, ...); gradients find their way back."""
    return rows if count() == 1 else _Gathered.apply(rows)


def mean(values: Tensor) -> Tensor:
    """Return the mean of the values over all processes; gradients find their way back."""
    return values if count() == 1 else all_gather(values[None]).mean(0)


@torch.no_grad()
def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over all processes."""
    if count() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    with _together():
        distributed.all_reduce(flat)
    pieces = flat.div_(count()).split([gradient.numel() for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view(gradient.shape))


def any_process(flag: bool, device: torch.device) -> bool:
    """Return whether `flag` is set in any process."""
    if count() == 1:
        return flag
    votes = torch.tensor([int(flag)], device=device)
    return bool(all_gather(votes).any())


def broadcast_from_first(make: Callable[[], Made]) -> Made:
    """Return what `make` returns in the first process, in which alone it is called."""
    if count() == 1:
        return make()
    carried: list[Any] = [make() if is_first() else None]
    with _together():
        distributed.broadcast_object_list(carried)
    made: Made = carried[0]
    return made


@contextmanager
def in_turn(local_rank: int) -> Iterator[None]:
    """Let the first process of every machine do something before the others on it begin."""
    if count() > 1 and local_rank:
        _wait()
    yield
    if count() > 1 and not local_rank:
        _wait()


def leave() -> bool:
    """Part from the others; return whether this process is the first, which goes on alone."""
    first = is_first()
    if count() > 1:
        distributed.destroy_process_group()
    return first


def _wait() -> None:
    """Wait until every process has come here."""
    with _together():
        distributed.barrier()


@contextmanager
def _together() -> Iterator[None]:
    """Say so if another process has ended while this one waits for it."""
    try:
        yield
    except RuntimeError:  # the libraries underneath have no kind of their own for it
        raise Abandoned("another process of this run has ended, before this one had all it needs") from None


class _Gathered(torch.autograd.Function):
    """Rows of one process -> rows of all. A gradient of a gradient is refused: no recipe needs one."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # noqa: ARG004 - autograd's signature
        whole = rows.new_empty(count() * len(rows), *rows.shape[1:])
        with _together():
            distributed.all_gather(list(whole.chunk(count())), rows.contiguous())
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        total = gradient.clone(memory_format=torch.contiguous_format)
        with _together():
            distributed.all_reduce(total)
        return shard(total)
