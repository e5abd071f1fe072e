"""Checkpoints of a training run: the last one, and the one before it."""

import errno
import json
import logging
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from minnorm.errors import InputError, RunConflictError, one_line
from minnorm.files import write_atomically
from minnorm.runtime import ranks

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

LAST, BEFORE, LOG = "last.ckpt", "before.ckpt", "log.jsonl"

_VALUES = {
    "epoch": int,
    "kept": dict,
    "kept_epoch": int,
    "log": list,
    "sessions": list,
    "fingerprints": dict,
}
"""The types of the plain values in a checkpoint; the rest are states of networks and the like."""


class Checkpoint(NamedTuple):
    """A checkpoint that was read.

    Attributes:
        path: The file.
        state: Its content.
        damaged: Newer files that cannot be read.
    """

    path: Path
    state: dict[str, Any]
    damaged: list[Path]


def exist(folder: Path) -> bool:
    """Return whether a folder holds checkpoints of a run."""
    return any((folder / name).exists() for name in (LAST, BEFORE))


def save(fabric: "Fabric", folder: Path, state: dict[str, Any]) -> None:
    """Write the state of a run, and its log; all ranks call it, the first one writes.

    If writing fails, for example because the disk is full, it warns and the run continues: the
    earlier checkpoint still exists.

    Args:
        fabric: Lightning Fabric, for the rank of this process.
        folder: The folder of the run.
        state: Plain values, tensors, and objects with a `state_dict`, which is saved.
    """
    if fabric.is_global_zero:
        content = {
            name: part.state_dict() if hasattr(part, "state_dict") else part
            for name, part in state.items()
        }
        new = folder / f"{LAST}.new"
        try:
            write_atomically(new, partial(torch.save, content))
            if (folder / LAST).exists():
                (folder / LAST).replace(folder / BEFORE)
            new.replace(folder / LAST)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError
            logger.warning("no checkpoint was written (%s): the run continues without it", error)
        else:
            _try_log(folder, state["log"])
    fabric.barrier()


def newest(fabric: "Fabric", folder: Path) -> Checkpoint | None:
    """Read the newest complete checkpoint; all ranks call it, and nothing is written.

    A damaged checkpoint causes a warning, and the one before it is taken.

    Returns:
        The checkpoint; `None` if none can be read.

    Raises:
        RunConflictError: If it is complete but does not have the expected content.
        OSError: If the disk cannot read a file, which does not mean that the file is damaged.
    """
    found: Checkpoint | None = None
    with ranks.raise_on_all():
        if fabric.is_global_zero:
            found = _newest(folder)
            if found is not None:
                _check_values(found)
    path = fabric.broadcast(None if found is None else found.path)
    if path is None:
        return None
    return found or Checkpoint(path, _read(path), [])


def _newest(folder: Path) -> Checkpoint | None:
    damaged: list[Path] = []
    for path in (folder / LAST, folder / BEFORE):
        if not path.exists():
            continue
        try:
            _check_sums(path)
            state = _read(path)
        except MemoryError:
            raise
        except Exception as error:  # damaged files raise errors of many kinds
            # Seeking to a negative position, as damaged archives cause, is EINVAL. With any other
            # error number the disk is at fault.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            logger.warning("the checkpoint %s is damaged (%s)", path, one_line(error))
            damaged.append(path)
            continue
        return Checkpoint(path, state, damaged)
    if damaged:
        logger.warning(
            "no checkpoint in %s can be read: the training starts from the beginning", folder
        )
    return None


def _check_sums(path: Path) -> None:
    """Raise an error for an archive whose checksums do not match; PyTorch does not check them."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise InputError(f"the checksum of {damaged} does not match")


def _read(path: Path) -> dict[str, Any]:
    state: object = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise InputError(f"it holds a {type(state).__name__}")
    return state


def _check_values(checkpoint: Checkpoint) -> None:
    state = checkpoint.state
    wrong = [name for name, kind in _VALUES.items() if not isinstance(state.get(name), kind)]
    if not wrong and not 0 < state["epoch"] == len(state["log"]):
        wrong = ["epoch"]
    if wrong:
        raise _of_another_run(checkpoint.path, f"in {', '.join(wrong)}")


def _of_another_run(path: Path, difference: str) -> RunConflictError:
    return RunConflictError(
        f"{path} belongs to another network, or to another version ({difference}): name another "
        f"folder with --out in the shell, out= in Python; or delete {path.parent}."
    )


def restore(fabric: "Fabric", folder: Path, checkpoint: Checkpoint, state: dict[str, Any]) -> None:
    """Put the content of a checkpoint into `state`; all ranks call it.

    Damaged files are removed, so that the next checkpoint does not replace the good one.

    Raises:
        RunConflictError: If the checkpoint does not fit this run.
    """
    try:
        for name, part in state.items():
            if hasattr(part, "load_state_dict"):
                part.load_state_dict(checkpoint.state[name])
            else:
                state[name] = checkpoint.state[name]
    except Exception as error:  # a file of another run raises errors of many kinds
        raise _of_another_run(checkpoint.path, one_line(error)) from error
    fabric.barrier()  # another rank may still read the files
    if fabric.is_global_zero:
        if checkpoint.damaged:
            logger.warning("continuing from %s, after epoch %d", checkpoint.path, state["epoch"])
        for path in checkpoint.damaged:
            path.unlink()
        _try_log(folder, state["log"])


def _try_log(folder: Path, lines: list[dict[str, float]]) -> None:
    """Write the log, or warn that it could not be written: the next checkpoint writes it again."""
    try:
        write_log(folder, lines)
    except OSError as error:
        logger.warning("the log was not written (%s)", error)


def write_log(folder: Path, lines: list[dict[str, float]]) -> None:
    """Write the whole log: it always covers the same epochs as the checkpoint."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_atomically(folder / LOG, lambda path: path.write_text(text))
