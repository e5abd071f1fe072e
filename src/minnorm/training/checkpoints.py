"""Checkpoints: whole or not at all, the last one and the one before."""

import errno
import json
import logging
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from minnorm import runtime
from minnorm.errors import in_short
from minnorm.files import write_whole

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

LAST, BEFORE = "last.ckpt", "before.ckpt"

_VALUES = {
    "epoch": int,
    "best": float,
    "kept": dict,
    "log": list,
    "sessions": list,
    "fingerprints": dict,
}
"""The kinds of what a checkpoint holds beside the states of networks and optimizers."""


class Checkpoint(NamedTuple):
    """What was read of a run.

    Attributes:
        path: The file.
        state: What it holds.
        damaged: Files that are newer, but cannot be read.
    """

    path: Path
    state: dict[str, Any]
    damaged: list[Path]


def are_in(out: Path) -> bool:
    """Tells if a run's checkpoints are in a folder."""
    return any((out / name).exists() for name in (LAST, BEFORE))


def save(fabric: "Fabric", out: Path, state: dict[str, Any]) -> None:
    """Writes the state of a run, and its log, `log.jsonl`; called by all ranks.

    What cannot be written, for example since the disk is full, is warned of, and the run goes on:
    the checkpoint before it is still there.

    Args:
        fabric: Tells the ranks apart; the first one writes.
        out: The folder of the run.
        state: Plain values and tensors, and objects with a `state_dict`, of which that is kept.
    """
    if fabric.is_global_zero:
        held = {
            name: part.state_dict() if hasattr(part, "state_dict") else part
            for name, part in state.items()
        }
        new = out / f"{LAST}.new"
        try:
            write_whole(new, partial(torch.save, held))
            if (out / LAST).exists():
                (out / LAST).replace(out / BEFORE)
            new.replace(out / LAST)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError
            logger.warning("no checkpoint was written (%s): the run goes on without", error)
        else:
            _try_log(out, state["log"])
    fabric.barrier()


def newest(fabric: "Fabric", out: Path) -> Checkpoint | None:
    """Reads the last checkpoint that is whole; called by all ranks, it writes nothing.

    A damaged one is warned of; then the one before it counts, or else there is none.

    Raises:
        ValueError: If it is whole, but holds something else.
        OSError: If a file cannot be read, which says nothing about whether it is whole.
    """
    found: Checkpoint | None = None
    with runtime.same_on_all_ranks():
        if fabric.is_global_zero:
            found = _newest(out)
            if found is not None:
                _check_values(found)
    path = fabric.broadcast(None if found is None else found.path)
    if path is None:
        return None
    return found or Checkpoint(path, _read(path), [])


def _newest(out: Path) -> Checkpoint | None:
    damaged: list[Path] = []
    for path in (out / LAST, out / BEFORE):
        if not path.exists():
            continue
        try:
            _check_sums(path)
            state = _read(path)
        except MemoryError:
            raise
        except Exception as error:  # damaged files raise errors of many kinds
            # A damaged archive may ask for a place before its beginning; else the disk is at fault.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            logger.warning("the checkpoint %s is damaged (%s)", path, in_short(error))
            damaged.append(path)
            continue
        return Checkpoint(path, state, damaged)
    if damaged:
        logger.warning("no checkpoint in %s can be read: training begins again", out)
    return None


def _read(path: Path) -> dict[str, Any]:
    state: object = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}")
    return state


def _check_values(checkpoint: Checkpoint) -> None:
    there = checkpoint.state
    other = [name for name, kind in _VALUES.items() if not isinstance(there.get(name), kind)]
    if not other and not 0 < there["epoch"] == len(there["log"]):
        other = ["epoch"]
    if other:
        raise ValueError(_of_another(checkpoint.path, f"in {', '.join(other)}"))


def _of_another(path: Path, how: str) -> str:
    return (
        f"{path} is of another network, or another version ({how}): name another folder with "
        f"--out, or delete {path.parent}."
    )


def restore(fabric: "Fabric", out: Path, checkpoint: Checkpoint, state: dict[str, Any]) -> None:
    """Puts into `state` what a checkpoint holds; called by all ranks.

    Raises:
        ValueError: If it is not one of this run.
    """
    try:
        for name, part in state.items():
            if hasattr(part, "load_state_dict"):
                part.load_state_dict(checkpoint.state[name])
            else:
                state[name] = checkpoint.state[name]
    except Exception as error:  # a file that holds something else raises errors of many kinds
        raise ValueError(_of_another(checkpoint.path, in_short(error))) from error
    fabric.barrier()  # before files go that another rank may still be reading
    if fabric.is_global_zero:
        if checkpoint.damaged:
            logger.warning("going on from %s, after epoch %d", checkpoint.path, state["epoch"])
        for path in checkpoint.damaged:  # or the next one would take the place of the good one
            path.unlink()
        _try_log(out, state["log"])


def _check_sums(path: Path) -> None:
    """Raises for a checkpoint that is not what was written: PyTorch itself does not look."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the sum of {damaged} is another one")


def _try_log(out: Path, lines: list[dict[str, float]]) -> None:
    """Writes the log, or warns that it could not: it is written again with the next checkpoint."""
    try:
        write_log(out, lines)
    except OSError as error:
        logger.warning("the log was not written (%s)", error)


def write_log(out: Path, lines: list[dict[str, float]]) -> None:
    """Writes the log anew: it always tells of the same epochs as the checkpoint."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_whole(out / "log.jsonl", lambda path: path.write_text(text))
