"""Memory: to keep what is freed, and to tell that there is not enough."""

import ctypes
import sys

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

_LARGE = (2**31 - 1, 2**25)
"""The second one is the most that older versions of glibc take."""


def keep_freed_memory() -> None:
    """Lets the process keep large blocks that it frees, instead of giving them back at once.

    Each gradient frees and allocates the same large tensors; with glibc's defaults the kernel maps
    and clears them anew each time. It holds for the whole process, up to its end. Nothing happens
    but on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
        any(mallopt(option, size) == 1 for size in _LARGE)  # the first one that is taken


def is_out_of_memory(error: Exception) -> bool:
    """Tells whether a computation failed since there was not enough memory, on any device."""
    # On a CPU PyTorch raises a plain RuntimeError, and so do the libraries of a GPU.
    words = ("allocate memory", "out of memory", "bad_alloc", "alloc_failed")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )
