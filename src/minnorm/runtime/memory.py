"""Memory: how much is available, which errors mean that it ran out, and how to reuse it."""

import ctypes
import os
import sys
from pathlib import Path

import torch

from minnorm.runtime.system_files import control_groups, read_lines

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h

_LARGE = (2**31 - 1, 2**25)
"""Thresholds for glibc; older versions accept at most the second."""


def keep_freed_memory() -> None:
    """Make the process keep large blocks that it frees, instead of returning them to the system.

    Each gradient frees and allocates the same large tensors; with glibc's defaults the kernel maps
    and clears them again each time. The setting holds for the whole process until it ends. Without
    Linux and glibc it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
        any(mallopt(option, size) == 1 for size in _LARGE)  # until one is accepted


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that a computation ran out of memory, on any device."""
    # On the CPU PyTorch raises a plain RuntimeError, and so do the libraries of a GPU.
    words = ("allocate memory", "out of memory", "bad_alloc", "alloc_failed")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )


def available_memory(device: torch.device) -> int:
    """Return the bytes of memory on the device that this process may still use.

    On a CPU: what the system and the control groups (version 2) of the process leave, shared among
    the ranks of this machine. On a GPU: the free memory, and what PyTorch has reserved and does not
    use.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    free = []
    meminfo = read_lines(Path("/proc/meminfo"))
    free += [int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemAvailable")]
    free += [left for group in control_groups() if (left := _left_in_group(group)) is not None]
    if not free and hasattr(os, "sysconf"):
        free.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(min(free, default=2**32), 0) // ranks_here


def _left_in_group(group: Path) -> int | None:
    """Return the bytes that a control group may still use; `None` if it has no limit."""
    limit, current = (read_lines(group / name) for name in ("memory.max", "memory.current"))
    if not limit or not current or not limit[0].isdigit():
        return None
    # The kernel reclaims cached file contents when memory is needed.
    words = [line.split() for line in read_lines(group / "memory.stat")]
    cached = sum(int(value) for name, value in words if name == "inactive_file")
    return int(limit[0]) - int(current[0]) + cached
