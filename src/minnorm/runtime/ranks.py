"""Ranks: the processes of one run, started by `torchrun`. A single process is rank 0 of 1."""

import atexit
import gc
import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Timer
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from minnorm.errors import InputError, one_line
from minnorm.runtime.torchrun import ADVICE, Launch, read_launch

logger = logging.getLogger(__name__)

_LONGEST_WORK = timedelta(days=365)
"""How long a rank waits for the others inside a run: some may have much more work than others."""

_LONGEST_START = timedelta(minutes=10)
"""How long a rank of `torchrun`, which stops all ranks when one fails, waits for the others."""

_LONGEST_START_ALONE = timedelta(seconds=60)
"""How long a rank waits that `torchrun` did not start: its variables may be left over."""

_SECONDS_BEFORE_NOTICE = 10.0

_groups = itertools.count()


def check_launch() -> None:
    """Check the variables of `torchrun`, unless the ranks are connected already.

    Raises:
        InputError: See `minnorm.runtime.torchrun.read_launch`.
    """
    if not dist.is_initialized():
        read_launch()


@contextmanager
def process_group() -> Iterator[None]:
    """Join the process group if `torchrun` started this process, and leave it at the end.

    The ranks exchange small Python objects only, so the backend is gloo on every device.

    Raises:
        InputError: If the variables of `torchrun` are incomplete, or the other ranks do not come.
    """
    launch = None if dist.is_initialized() else read_launch()
    if launch is None:
        yield
        return
    _join(launch)
    try:
        yield
    finally:
        dist.destroy_process_group()


def leave_at_exit() -> None:
    """Leave, when this process exits, the process group that another library has joined.

    Threads of a group that is left open release Python objects while the interpreter shuts down,
    which now and then ends a process that has done its work with SIGABRT.
    """
    atexit.register(_leave)


def _leave() -> None:
    gc.collect()  # the threads end with the group, and a module in a cycle would keep it
    if dist.is_initialized():
        dist.destroy_process_group()


def _join(launch: Launch) -> None:
    """Connect all ranks; the first ones wait for the last."""
    group = next(_groups)
    longest = _LONGEST_START if dist.is_torchelastic_launched() else _LONGEST_START_ALONE
    notice = Timer(_SECONDS_BEFORE_NOTICE, logger.warning, ["waiting for other ranks: %s", launch])
    notice.daemon = True
    notice.start()
    try:
        store, *_ = next(rendezvous("env://", timeout=longest))
        arrived = [f"minnorm/{group}/{rank}" for rank in range(launch.world_size)]
        store.set(arrived[launch.rank], "")
        store.wait(arrived, longest)
        # Only now, since it waits for the others as long as they may work. In a store that an
        # earlier group has used, a rank may find the address that another one had in it.
        store.set_timeout(_LONGEST_WORK)
        dist.init_process_group(
            "gloo",
            store=PrefixStore(f"minnorm/{group}", store),
            rank=launch.rank,
            world_size=launch.world_size,
            timeout=_LONGEST_WORK,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"not all ranks have come within {longest.total_seconds():.0f} seconds ({launch} in "
            f"the environment). {ADVICE} PyTorch reported {one_line(error)}"
        ) from error
    finally:
        notice.cancel()


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
