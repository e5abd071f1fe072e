"""Training by a recipe: what is looked at before, the loop, and the card."""

import logging
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from torch import nn

from minnorm import runtime
from minnorm.acceleration import is_out_of_memory, keep_freed_memory
from minnorm.attacks.checks import check_count
from minnorm.data import Data, load_data
from minnorm.errors import in_short
from minnorm.files import LOCK, take, write_whole
from minnorm.models import Card, build, fingerprint, save_weights
from minnorm.models.load import lay_out
from minnorm.models.weights import file_sha256
from minnorm.training import checkpoints
from minnorm.training.intake import (
    check_augmentation,
    check_batch_size,
    check_fit,
    check_others,
    check_robust_validation,
    check_same_data,
    claim,
    fingerprints_of_others,
    make_network,
)
from minnorm.training.loop import Progress, Run, weights_file
from minnorm.training.objectives import load_objective
from minnorm.training.recipe import Recipe
from minnorm.training.validation import accuracy, robust_accuracy

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    resume: bool = False,
    workers: int = 0,
    trust: bool = False,
    on_progress: Progress | None = None,
) -> Card:
    """Trains a network by its recipe.

    In `out` it keeps `recipe.json`, `log.jsonl` (one line for each epoch), `last.ckpt` and
    `before.ckpt` (to go on from), the weights of the last epoch, `<name>-last.safetensors`, those
    of the best one by validation, `<name>.safetensors`, and at the end its card, `<name>.json`: the
    two files that the zoo is made of. Where TensorBoard is installed, its log is in `tensorboard`.
    The global random generators of PyTorch, NumPy and Python are seeded.

    Args:
        recipe: What to do.
        out: The folder of the run; made if it is not there.
        resume: Whether a run that is in `out` goes on from its last whole epoch, as if it had never
            been interrupted; a new one begins where there is none.
        workers: Processes, of each rank, that read and augment images ahead: for a GPU, which
            would wait for them. The result is the same.
        trust: Let the file of the initial network run the code that it holds.
        on_progress: Called as the run goes on.

    Returns:
        The card of the trained network.

    Raises:
        ValueError: If `out` holds the run of another recipe, or any run without `resume`, or
            another process is at work there; if the data does not fit, or changed since the run
            began; if the loss is not finite; if memory does not suffice.
        FileNotFoundError: If data or the initial network are not there.
        OSError: If the folder or the weights cannot be written.
        ImportError: If Lightning Fabric is not installed.
    """
    check_count("workers", workers, least=0)
    out = Path(out)
    lock = FileLock(out / LOCK, timeout=0)
    try:
        return _train(
            recipe,
            out,
            lock,
            resume=resume,
            workers=workers,
            trust=trust,
            on_progress=on_progress or (lambda *_: None),
        )
    finally:
        lock.release(force=True)


def _train(
    recipe: Recipe,
    out: Path,
    lock: FileLock,
    *,
    resume: bool,
    workers: int,
    trust: bool,
    on_progress: Progress,
) -> Card:
    keep_freed_memory()
    fabric = _fabric(recipe)
    session = runtime.session(fabric.device)
    training, validation = load_data(recipe.data), load_data(recipe.validation)
    test = load_data(recipe.test)
    check_batch_size(recipe, training, fabric.world_size)
    fabric.seed_everything(recipe.seed, verbose=False)
    if resume and checkpoints.are_in(out):  # which nobody is to change once it has been read
        with runtime.same_on_all_ranks():
            if fabric.is_global_zero:
                take(lock, out)
    checkpoint = checkpoints.newest(fabric, out) if resume else None
    network = make_network(recipe, trust=trust, whole=checkpoint is None)
    objectives = {first: load_objective(spec) for first, spec in recipe.objectives.items()}
    parts = {recipe.data: training, recipe.validation: validation, recipe.test: test}
    for data in parts.values():
        check_fit(network, data)
    check_augmentation(recipe, network, training)
    check_others(objectives, network, training)
    check_robust_validation(recipe, network, validation)
    fingerprints = {spec: data.fingerprint for spec, data in parts.items()}
    fingerprints |= fingerprints_of_others(objectives)
    if checkpoint is not None:
        check_same_data(checkpoint, fingerprints)
    elif recipe.initial is not None:
        fingerprints[recipe.initial] = fingerprint(network)
    # What is refused before leaves no folder behind.
    with runtime.same_on_all_ranks():
        if fabric.is_global_zero:
            claim(out, lock, recipe, resume=resume)
    run = Run(
        fabric,
        recipe,
        out,
        network=lay_out(network),
        objectives=objectives,
        training=training,
        validation=validation,
        workers=workers,
    )
    run.state["fingerprints"] = fingerprints
    if checkpoint is not None:
        checkpoints.restore(fabric, out, checkpoint, run.state)
        _warn_of_changes(run.state["sessions"], session)
        checkpoint = None  # which may be as large as the network and all perturbations
    if run.state["epoch"] < recipe.epochs:
        run.state["sessions"] = [*run.state["sessions"], session]
    with closing(run):
        for epoch in range(run.state["epoch"], recipe.epochs):
            try:
                run.epoch(epoch, on_progress)
            except RuntimeError as error:  # of PyTorch, on the device of the training
                raise ValueError(_failed(epoch, recipe, error)) from error
    return _finish(fabric, recipe, out, run.state, validation=validation, test=test)


def _failed(epoch: int, recipe: Recipe, error: RuntimeError) -> str:
    if is_out_of_memory(error):
        return (
            f"memory does not suffice for batch_size={recipe.batch_size} (epoch {epoch + 1}, "
            f"{in_short(error)}): lower it, or share the batches among ranks with torchrun."
        )
    return f"epoch {epoch + 1} failed: {in_short(error)}"


def _warn_of_changes(sessions: Sequence[dict[str, Any]], session: dict[str, Any]) -> None:
    """Warns of what lets a resumed run differ in its last digits from an undisturbed one."""

    def decisive(of: dict[str, Any]) -> dict[str, Any]:
        hardware = of.get("hardware", {})
        return {
            "ranks": of.get("ranks"),
            **{name: hardware.get(name) for name in ("instructions", "threads", "gpu")},
            **of.get("versions", {}),
        }

    if not sessions or runtime.rank() != 0:
        return
    before, now = decisive(sessions[-1]), decisive(session)
    changes = [
        f"{name} {before.get(name)}, now {now.get(name)}"
        for name in now
        if now.get(name) != before.get(name)
    ]
    if changes:
        logger.warning(
            "the run began with %s: it goes on, but not to the bit as it would have.",
            "; ".join(changes),
        )


def _fabric(recipe: Recipe) -> "Fabric":
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ImportError(
            "training needs Lightning Fabric: pip install 'minnorm[training]'"
        ) from error
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    try:
        fabric = Fabric(
            accelerator="auto",
            devices=local,
            num_nodes=world // local,
            strategy="ddp" if world > 1 else "auto",
            precision=recipe.precision,
        )
        fabric.launch()
    except Exception as error:  # of more ranks than GPUs Fabric raises a kind of its own
        raise ValueError(f"{local} ranks cannot run on this machine: {in_short(error)}") from error
    if recipe.precision == "16-mixed" and fabric.device.type == "cpu":
        raise ValueError("precision: 16-mixed needs a GPU; on the CPU there is bf16-mixed.")
    return fabric


def _finish(
    fabric: "Fabric",
    recipe: Recipe,
    out: Path,
    state: dict[str, Any],
    *,
    validation: Data,
    test: Data,
) -> Card:
    best = build(recipe.architecture)
    try:
        best.load_state_dict(state["kept"])
    except RuntimeError as error:
        raise ValueError(
            f"architecture: {recipe.architecture!r} is not the network that was trained "
            f"({in_short(error)})."
        ) from error
    weights = weights_file(out, recipe)
    with runtime.same_on_all_ranks():
        if fabric.is_global_zero:
            save_weights(best, recipe.architecture, weights)
    best.to(fabric.device)
    card = Card(
        name=recipe.name,
        architecture=recipe.architecture,
        data=recipe.data,
        recipe=recipe.model_dump(mode="json"),
        accuracy={
            recipe.validation: accuracy(best, validation, recipe.batch_size),
            recipe.test: accuracy(best, test, recipe.batch_size),
        },
        robust_accuracy=_robust_accuracy(recipe, best, test),
        forwards_per_image=sum(line["forwards_per_image"] for line in state["log"]),
        gradients_per_image=sum(line["gradients_per_image"] for line in state["log"]),
        sha256=file_sha256(weights),
        fingerprints=state["fingerprints"],
        sessions=state["sessions"],
    )
    if fabric.is_global_zero:
        checkpoints.write_log(out, state["log"])  # it may be ahead of the last checkpoint
        text = card.model_dump_json(indent=2) + "\n"
        write_whole(out / f"{recipe.name}.json", lambda path: path.write_text(text))
    fabric.barrier()
    return card


def _robust_accuracy(recipe: Recipe, network: nn.Module, test: Data) -> dict[str, float]:
    attacked = recipe.robust_validation
    if attacked is None:
        return {}
    images = min(attacked.images, len(test))
    name = f"{recipe.test}, first {images}: {attacked.attack} within {attacked.epsilon:g}"
    return {name: robust_accuracy(network, test, attacked)}
