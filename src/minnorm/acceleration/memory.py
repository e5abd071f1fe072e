"""How the process treats memory that it has freed."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

_LARGE = 2**31 - 1


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
    return all(mallopt(option, _LARGE) == 1 for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
