"""Files that are there as a whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
