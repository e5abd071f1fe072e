"""Training from a recipe: the pre-flight check, the epochs, and the result."""

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from minnorm.checks import check_count
from minnorm.errors import InputError, OutOfMemoryError, one_line
from minnorm.models import Card
from minnorm.models.load import use_channels_last
from minnorm.runtime import provenance, ranks, threads
from minnorm.runtime.memory import is_out_of_memory, keep_freed_memory
from minnorm.runtime.sessions import warning_of_changes
from minnorm.training import checkpoints
from minnorm.training.checkpoints import Checkpoint
from minnorm.training.launch import (
    check_device,
    check_installed,
    launch_fabric,
    planned_ranks,
)
from minnorm.training.loop import TrainingProgress, TrainingRun
from minnorm.training.preflight import continued_fingerprints, preflight
from minnorm.training.recipe import Recipe
from minnorm.training.results import write_results
from minnorm.training.run_folder import RunFolder

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)


@threads.shared_cores()
def train(
    recipe: Recipe,
    out: str | Path,
    *,
    resume: bool = False,
    workers: int = 0,
    device: str | torch.device | None = None,
    trust: bool = False,
    on_progress: TrainingProgress | None = None,
) -> Card:
    """Train a network from a recipe.

    The folder `out` then holds `recipe.json`; `log.jsonl`, one line for each epoch; `last.ckpt` and
    `before.ckpt`, to continue from; the weights of the last epoch, `<name>-last.safetensors`; the
    weights of the best epoch, `<name>.safetensors`, and their card, `<name>.json`, the two files of
    a network in the zoo; and, where TensorBoard is installed, its log in `tensorboard`. The global
    random generators of PyTorch, NumPy and Python are seeded.

    Args:
        recipe: The recipe.
        out: The folder of the run; created if it does not exist.
        resume: Whether to continue a run in `out` after its last complete epoch. The result is that
            of an uninterrupted run. Without a run in `out`, a new one starts.
        workers: Processes, of each rank, that read and augment images ahead, so that a GPU does not
            wait for them. The result is the same.
        device: `cpu`, `cuda`, `cuda:1`, ..., or `mps`; by default a GPU if there is one. Under
            `torchrun`, `cuda` gives each rank a GPU of its own.
        trust: Whether the file of the initial network may run the code that it holds.
        on_progress: Called during the run.

    Returns:
        The card of the trained network; its `epoch` is the one whose weights were kept.

    Raises:
        InputError: If a part of the recipe or the device cannot be used, or the loss is not finite.
        RunConflictError: If `out` holds another run, or this one without `resume`; if another
            process works there; or if the data have changed since the run started.
        OutOfMemoryError: If the device does not have enough memory.
        MissingFileError: If data or the initial network do not exist.
        MissingLibraryError: If Lightning Fabric is not installed.
        OSError: If the folder or the weights cannot be written.
    """
    check_count("workers", workers, least=0)
    check_installed()
    folder = RunFolder(Path(out))
    folder.check(recipe, resume=resume)
    chosen = check_device(device, recipe.precision)
    resumes = resume and checkpoints.exist(folder.path)
    checked = preflight(recipe, ranks=planned_ranks(), resumes=resumes, trust=trust)
    # Only now, since importing Fabric takes seconds: mistakes in a recipe are found before.
    keep_freed_memory()
    fabric = launch_fabric(recipe, chosen)
    if fabric.device.type == "cpu":
        threads.warn_if_crowded()
    session = provenance.session(fabric.device)
    with folder:
        checkpoint = _checkpoint(fabric, folder) if resumes else None
        if checkpoint is not None:
            fingerprints = continued_fingerprints(checkpoint, checked.fingerprints)
            checked = replace(checked, fingerprints=fingerprints)
        elif resumes:  # no checkpoint can be read: the run starts again, from the initial network
            checked = preflight(recipe, ranks=fabric.world_size, resumes=False, trust=trust)
        # After the check, so that a training that is refused leaves no folder behind.
        with ranks.raise_on_all():
            if fabric.is_global_zero:
                folder.claim(recipe, resume=resume)
        if fabric.is_global_zero:
            for warning in checked.warnings:
                logger.warning("%s", warning)
        use_channels_last(checked.network)
        run = TrainingRun(fabric, recipe, folder.path, checked, workers=workers)
        with closing(run):
            if checkpoint is not None:
                checkpoints.restore(fabric, folder.path, checkpoint, run.state)
                changes = warning_of_changes([*run.state["sessions"][-1:], session], "weights")
                if fabric.is_global_zero and changes:
                    logger.warning("%s", changes)
                checkpoint = None  # it may be as large as the network and all perturbations
            if run.state["epoch"] < recipe.epochs:
                run.state["sessions"] = [*run.state["sessions"], session]
            for epoch in range(run.state["epoch"], recipe.epochs):
                _train_epoch(run, recipe, epoch, on_progress or (lambda *_: None))
        return write_results(
            fabric,
            recipe,
            folder.path,
            run.state,
            validation=checked.validation,
            test=checked.test,
            warnings=checked.warnings,
        )


def _checkpoint(fabric: "Fabric", folder: RunFolder) -> Checkpoint | None:
    """Return the checkpoint to continue from; the folder is locked before it is read."""
    if not checkpoints.exist(folder.path):
        return None
    with ranks.raise_on_all():
        if fabric.is_global_zero:
            folder.lock()
    return checkpoints.newest(fabric, folder.path)


def _train_epoch(
    run: TrainingRun, recipe: Recipe, epoch: int, on_progress: TrainingProgress
) -> None:
    try:
        run.epoch(epoch, on_progress)
    except RuntimeError as error:  # PyTorch's, on the device of the training
        if is_out_of_memory(error):
            raise OutOfMemoryError(
                f"not enough memory for batch_size={recipe.batch_size} (epoch {epoch + 1}, "
                f"{one_line(error)}): lower it, or share the batches among ranks with torchrun."
            ) from error
        raise InputError(f"epoch {epoch + 1} failed: {one_line(error)}") from error
