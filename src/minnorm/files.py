"""Files that are there as a whole or not at all, and folders that one process works in."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors.torch import save
from torch import Tensor

LOCK = ".lock"
"""The file by which a folder is locked."""


def write_whole(target: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file under another name and renames it, so that it is never seen half-made.

    Args:
        target: The file.
        write: Writes its content to the path that it is given; what it raises leaves nothing there.
    """
    scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        scratch.touch()
        mode = scratch.stat().st_mode  # some libraries write for the owner's eyes alone
        write(scratch)
        scratch.chmod(mode)
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def write_tensors(
    target: Path, tensors: dict[str, Tensor], about: dict[str, str] | None = None
) -> None:
    """Writes a safetensors file by `write_whole`.

    Args:
        target: The file.
        tensors: Contiguous tensors on the CPU, no two of the same memory.
        about: What its header says besides.
    """
    # What safetensors writes by itself goes by a name of its own first, which a kill leaves behind.
    content = save(tensors, about)
    write_whole(target, lambda path: path.write_bytes(content))


def take(lock: FileLock, folder: Path) -> None:
    """Makes a folder, where it is not there, and makes it this process's own.

    Args:
        lock: Of the file `LOCK` in it, with a timeout of 0; the folder is free when it is released.
        folder: The folder.

    Raises:
        ValueError: If another process is at work in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise ValueError(
            f"another process is at work in {folder}: wait until it has finished, or name another "
            "folder."
        ) from error


def sweep(*folders: Path) -> None:
    """Removes what `write_whole` left in folders where it was killed."""
    for folder in folders:
        for scratch in folder.glob(".*.tmp"):
            scratch.unlink()
