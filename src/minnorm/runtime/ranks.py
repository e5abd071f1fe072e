"""Ranks: the processes of one run, started by `torchrun`. A single process is rank 0 of 1."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch import Tensor


@contextmanager
def process_group() -> Iterator[None]:
    """Join the process group if `torchrun` started this process, and leave it at the end.

    The ranks exchange small Python objects only, so the backend is gloo on every device. Some ranks
    may have much more work than others, so the timeout is long.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("gloo", timeout=timedelta(days=365))
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process among all ranks, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait until all ranks have arrived here."""
    if dist.is_initialized():
        dist.barrier()


def gather(value: Any) -> list[Any]:
    """Return the values of all ranks, in the order of the ranks, on each of them."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def broadcast_from_first(tensor: Tensor) -> None:
    """Overwrite a tensor on every rank, in place, with that of the first rank."""
    if dist.is_initialized():
        dist.broadcast(tensor, 0)


@contextmanager
def raise_on_all() -> Iterator[None]:
    """Wait for all ranks at the end, and raise on each of them the error that one of them raised.

    Without it the other ranks would wait forever for the one that failed. It covers `ValueError`
    and `OSError`, the errors of bad input.
    """
    raised: Exception | None = None
    try:
        yield
    except (ValueError, OSError) as error:
        raised = error
    for first in gather(raised):
        if first is not None:
            raise first
