"""Files that are written completely or not at all, and folders locked by one process."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors.torch import save
from torch import Tensor

from minnorm.errors import InputError, RunConflictError

LOCK = ".lock"
"""The name of the file that locks its folder."""


@contextmanager
def named_by(option: str, path: Path) -> Iterator[None]:
    """Make the folder of a file that the user has named, and explain why it cannot be written.

    Args:
        option: The option of the command line that names the file, for example `--out`.
        path: The file, or a folder, which is written in this context.

    Raises:
        InputError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        no_folder = isinstance(error, FileExistsError | NotADirectoryError)
        reason = f"{path.parent} is no folder" if no_folder else error.strerror or error
        raise InputError(
            f"{path} cannot be written: {reason}. Name another place with {option}."
        ) from error


def write_atomically(target: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under a temporary name and rename it, so that nobody reads an incomplete one.

    Args:
        target: The file.
        write: Writes the content to the path that it is called with. If it raises an error, no file
            is left behind, and an old `target` stays as it was.
    """
    scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        scratch.touch()
        mode = scratch.stat().st_mode  # some libraries make files that only the owner can read
        write(scratch)
        scratch.chmod(mode)
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(target)
    except OSError as error:
        unnamed = error.filename is None  # a full disk names no file
        if error.errno is not None and (unnamed or Path(error.filename) == scratch):
            error.filename = str(target)  # for the message
        raise
    finally:
        with suppress(OSError):  # the error of the writing says more
            scratch.unlink(missing_ok=True)


def write_content(target: Path, content: bytes) -> str:
    """Write a file with `write_atomically`, and return its SHA-256."""
    write_atomically(target, lambda path: path.write_bytes(content))
    return hashlib.sha256(content).hexdigest()


def write_tensors(
    target: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> str:
    """Write a safetensors file with `write_atomically`, and return its SHA-256.

    Args:
        target: The file.
        tensors: Contiguous tensors on the CPU that do not share memory.
        metadata: Additional text in the header, by name.
    """
    # The library's own writer uses a temporary file that stays behind when the process is killed.
    return write_content(target, save(tensors, metadata))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock_folder(lock: FileLock, folder: Path) -> None:
    """Lock a folder for this process; make the folder if it does not exist.

    Args:
        lock: A lock on the file `LOCK` in the folder, with a timeout of 0. Release it to unlock.
        folder: The folder.

    Raises:
        RunConflictError: If another process has locked it.
        InputError: If the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunConflictError(
            f"another process is working in {folder}: wait until it has finished, or choose "
            "another folder."
        ) from error
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used as a folder: {error.strerror or error}. Name another one."
        ) from error


def remove_partial_files(*folders: Path) -> None:
    """Remove the temporary files that a killed `write_atomically` left in the folders."""
    for folder in folders:
        for scratch in folder.glob(".*.tmp"):
            if re.fullmatch(r"\..+\.\d+\.tmp", scratch.name):
                scratch.unlink()
