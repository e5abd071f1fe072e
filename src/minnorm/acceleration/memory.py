"""Memory: to keep what is freed, and to tell that there is not enough."""

import ctypes
import sys

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

_LARGE = (2**31 - 1, 2**25)
"""The second one is the most that older versions of glibc take."""


def keep_freed_memory() -> bool:
    """Lets the process keep large blocks that it frees, instead of giving them back at once.

    Each gradient frees and allocates the same large tensors; with glibc's defaults the kernel maps
    and clears them anew each time. It holds for the whole process, up to its end.

    Returns:
        Whether it could be done: on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        any(mallopt(option, size) == 1 for size in _LARGE)
        for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD)
    )


def is_out_of_memory(error: Exception) -> bool:
    """Tells whether a computation failed since there was not enough memory, on any device."""
    # On a CPU PyTorch raises a plain RuntimeError.
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )
