"""CPU threads: the share of each rank, and a warning if more threads run than there are cores.

PyTorch's threads wait for each other in a busy loop. With more of them than cores, each waits for
one that cannot run, and all processes become many times slower.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from minnorm.runtime.process_settings import ProcessSetting
from minnorm.runtime.system_files import control_groups, read_lines
from minnorm.runtime.torchrun import local_rank, local_ranks

logger = logging.getLogger(__name__)

_PROC = Path("/proc")

_VARIABLE = "OMP_NUM_THREADS"

_SECONDS_BETWEEN_SAMPLES = 0.05
"""A thread that runs at both times is no short interruption."""

_PROCESSOR = 36
"""The place of a thread's processor in `stat`, after its name."""

_warned: set[str] = set()


def cores() -> int:
    """Return how many cores this process may use: those of its affinity, or its quota of them."""
    quotas = [math.ceil(quota) for quota in _quotas()]
    return max(min([len(_affinity()), *quotas]), 1)


@contextmanager
def shared_cores() -> Iterator[None]:
    """Let the ranks on one machine share its cores: each uses an equal number of threads.

    Without ranks nothing changes, nor if the user has set `OMP_NUM_THREADS`. (`torchrun` sets it to
    1 if the user has not.) The number of threads is restored when the last of the threads that
    are inside has left.
    """
    if local_ranks() == 1 or _set_by_user():
        yield
        return
    with _threads.changed():
        yield


def _share_cores() -> Callable[[], None]:
    before = torch.get_num_threads()
    torch.set_num_threads(max(cores() // local_ranks(), 1))
    return lambda: torch.set_num_threads(before)


_threads = ProcessSetting(_share_cores)


def warn_if_crowded() -> None:
    """Log a warning, once, if more threads run than there are cores.

    This reads what Linux tells about the running threads. It does nothing on other systems, and if
    this process uses a single thread.
    """
    threads, ranks, available = torch.get_num_threads(), local_ranks(), cores()
    if threads == 1 or local_rank() > 0 or not _PROC.is_dir():
        return
    siblings = (ranks - 1) * threads
    others = max(_running_elsewhere(), siblings)
    if others + threads > available:
        time.sleep(_SECONDS_BETWEEN_SAMPLES)
        others = max(min(others, _running_elsewhere()), siblings)
    warning = crowding(threads, others, available)
    if warning is not None and not _warned:
        _warned.add(warning)
        logger.warning("%s", warning)


def crowding(threads: int, others: int, available: int) -> str | None:
    """Return a warning if more threads run than there are cores, else `None`.

    Args:
        threads: The threads of this process.
        others: The threads of other processes that run all the time.
        available: The cores that this process may use.
    """
    if threads + others <= available:
        return None
    free = max(available - others, 1)
    around = f", beside {others} running threads of other processes" if others > 0 else ""
    return (
        f"PyTorch uses {threads} threads on {available} cores{around}, so they wait for each other "
        f"and can be many times slower: set the environment variable {_VARIABLE}={free} for each "
        "process before it starts."
    )


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _quotas() -> list[float]:
    """Return the limits of the control groups of this process, in cores."""
    found = []
    for group in control_groups():
        limit = (read_lines(group / "cpu.max") or [""])[0].split()
        found.append(limit)
    for group in control_groups("cpu"):
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        found.append([line for name in names for line in read_lines(group / name)[:1]])
    pairs = [pair for pair in found if len(pair) == 2 and all(word.isdigit() for word in pair)]
    return [int(quota) / int(period) for quota, period in pairs if int(period) > 0]


def _set_by_user() -> bool:
    """Return whether the user, and not `torchrun`, has set the number of threads."""
    if _VARIABLE not in os.environ:
        return False
    if os.environ[_VARIABLE] != "1" or not dist.is_torchelastic_launched():
        return True
    try:  # the environment with which `torchrun` was started
        content = (_PROC / str(os.getppid()) / "environ").read_bytes()
    except OSError:
        return True
    return any(part.startswith(f"{_VARIABLE}=".encode()) for part in content.split(b"\0"))


def _running_elsewhere() -> int:
    """Return the running threads of the processes that compete with this one for cores."""
    own_group = read_lines(_PROC / "self" / "cgroup") if _quotas() else None
    affinity = _affinity()
    count = 0
    for process in _PROC.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        if own_group is not None and read_lines(process / "cgroup") != own_group:
            continue  # the quota is not shared with it
        try:
            threads = list(process.glob("task/*/stat"))
        except OSError:  # the process has ended
            continue
        count += sum(_runs_on(affinity, "".join(read_lines(thread))) for thread in threads)
    return count


def _runs_on(affinity: set[int], stat: str) -> bool:
    """Return whether a thread runs, on one of these processors."""
    fields = stat.rpartition(")")[2].split()  # its name is in brackets, and may hold anything
    if len(fields) <= _PROCESSOR or fields[0] != "R":
        return False
    processor = int(fields[_PROCESSOR])
    return processor in affinity or processor < 0  # some systems do not say on which one
