"""Checkpoints: whole or not at all, the last one and the one before."""

import json
import logging
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minnorm.errors import in_short
from minnorm.files import write_whole

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

LAST, BEFORE = "last.ckpt", "before.ckpt"


def are_in(out: Path) -> bool:
    """Tells if a run's checkpoints are in a folder."""
    return any((out / name).exists() for name in (LAST, BEFORE))


def save(fabric: "Fabric", out: Path, state: dict[str, Any]) -> None:
    """Writes the state of a run, and its log, `log.jsonl`; called by all ranks.

    What cannot be written, for example since the disk is full, is warned of, and the run goes on:
    the checkpoint before it is still there.
    """
    scratch = out / f"{LAST}.new"
    try:
        try:
            fabric.save(scratch, state)
        except (OSError, RuntimeError):
            # It ends with a barrier, at which the other ranks wait for the one that writes.
            fabric.barrier()
            raise
        if fabric.is_global_zero:
            with scratch.open("rb") as file:
                os.fsync(file.fileno())
            if (out / LAST).exists():
                (out / LAST).replace(out / BEFORE)
            scratch.replace(out / LAST)
            _try_log(out, state["log"])
    except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError
        scratch.unlink(missing_ok=True)
        logger.warning("no checkpoint was written (%s): the run goes on without", error)
    fabric.barrier()


def restore(fabric: "Fabric", out: Path, state: dict[str, Any]) -> None:
    """Puts into `state` what the last checkpoint holds that can be read, if there is one.

    A damaged one is warned of; then the one before it counts, or else the run begins again.
    """
    for name in (LAST, BEFORE):
        if not (out / name).exists():
            continue
        try:
            _check_sums(out / name)
            fabric.load(out / name, state, weights_only=True)
        except Exception as error:  # damaged files make torch.load raise errors of many kinds
            logger.warning("the checkpoint %s is damaged (%s)", out / name, in_short(error))
            continue
        if name == BEFORE:
            logger.warning("going on from %s, after epoch %d", out / name, state["epoch"])
        if fabric.is_global_zero:
            _try_log(out, state["log"])
        return
    if are_in(out):
        logger.warning("no checkpoint in %s can be read: training begins again", out)


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
