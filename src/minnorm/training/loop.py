"""The one training loop: optimiser, schedule, precision, ranks, checkpoints, logging."""

import json
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minnorm import runtime
from minnorm.attacks.checks import check_labels, check_logits
from minnorm.data import Data, load_data
from minnorm.models import Card, build, load_model, load_weights, save_weights
from minnorm.models.weights import file_sha256
from minnorm.training.augmentation import load_augmentation
from minnorm.training.objectives import load_objective
from minnorm.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, dict[str, float]], None]
"""Called after each epoch with the epochs done, the epochs in all, and what was measured."""


def train(recipe: Recipe, out: Path, *, on_epoch: Progress | None = None) -> Card:
    """Trains a network by its recipe; a run that was interrupted goes on from its last epoch.

    In `out` it keeps `recipe.json`, `log.jsonl` (one line for each epoch), `last.ckpt` (to go on
    from), the weights of the best epoch by validation accuracy, `<name>.safetensors`, and at the
    end the card, `<name>.json`: the two files that the zoo is made of.

    Args:
        recipe: What to do.
        out: The folder of the run; made if it is not there.
        on_epoch: Called after each epoch.

    Returns:
        The card of the trained network.

    Raises:
        ValueError: If `out` holds the run of another recipe, or the data does not fit.
        ImportError: If Lightning Fabric is not installed.
    """
    fabric = _fabric(recipe)
    revision = runtime.revision()
    _claim(out, recipe)
    training, validation = load_data(recipe.data), load_data(recipe.validation)
    test = load_data(recipe.test)
    fabric.seed_everything(recipe.seed, verbose=False)
    network = _network(recipe)
    for data in (training, validation, test):
        _check_fit(network, data)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=recipe.optimizer.learning_rate,
        momentum=recipe.optimizer.momentum,
        nesterov=recipe.optimizer.nesterov,
        weight_decay=recipe.optimizer.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, list(recipe.schedule.milestones), recipe.schedule.factor
    )
    module, wrapped = fabric.setup(network.to(memory_format=torch.channels_last), optimizer)
    state = {"module": module, "optimizer": wrapped, "schedule": schedule, "epoch": 0, "best": -1.0}
    weights = out / f"{recipe.name}.safetensors"
    _restore(fabric, out / "last.ckpt", state)
    for epoch in range(state["epoch"], recipe.epochs):
        started = time.perf_counter()
        # Each epoch's randomness follows from its number: one that is repeated is the same again.
        fabric.seed_everything(
            recipe.seed + 1_000_003 * (epoch + 1) + fabric.global_rank, verbose=False
        )
        loss = _epoch(fabric, module, wrapped, recipe, data=training, epoch=epoch)
        measured: dict[str, float] = {
            "epoch": epoch + 1,
            "learning_rate": float(schedule.get_last_lr()[0]),
            "loss": loss,
            "validation_accuracy": accuracy(module, validation),
            "seconds": round(time.perf_counter() - started, 2),
        }
        schedule.step()
        if measured["validation_accuracy"] > state["best"] and fabric.is_global_zero:
            save_weights(network, recipe.architecture, weights)
        state["best"] = max(state["best"], measured["validation_accuracy"])
        state["epoch"] = epoch + 1
        _save(fabric, out, state, measured)
        if on_epoch is not None:
            on_epoch(epoch + 1, recipe.epochs, measured)
    return _finish(fabric, recipe, out, revision, validation=validation, test=test)


@torch.no_grad()
def accuracy(model: nn.Module, data: Data, batch_size: int = 1000) -> float:
    """Gives the share of correct predictions, in evaluation mode; the mode is restored after."""
    parameter = next(model.parameters(), torch.empty(0))
    modes = {module: module.training for module in model.modules()}
    model.eval()
    correct = 0
    try:
        for start in range(0, len(data), batch_size):
            inputs, labels = data.batch(range(start, min(start + batch_size, len(data))))
            logits: Tensor = model(inputs.to(parameter.device))
            correct += int((logits.argmax(1).cpu() == labels).sum())
    finally:
        for module, mode in modes.items():
            module.training = mode
    return correct / len(data)


def _network(recipe: Recipe) -> nn.Module:
    network = build(recipe.architecture)
    if recipe.initial is None:
        return network
    try:
        network.load_state_dict(load_model(recipe.initial).state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"initial: {recipe.initial!r} is no network of the architecture "
            f"{recipe.architecture!r}: {' '.join(str(error).split())[:300]}"
        ) from error
    return network


def _fabric(recipe: Recipe) -> "Fabric":
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ImportError(
            "training needs Lightning Fabric: pip install 'minnorm[training]'"
        ) from error
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    fabric = Fabric(
        accelerator="auto",
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=recipe.precision,
    )
    fabric.launch()
    return fabric


def _claim(out: Path, recipe: Recipe) -> None:
    """Writes the recipe into the folder of the run, or checks that it is the one there."""
    file = out / "recipe.json"
    if file.exists():
        # Read as a recipe, so that one written before a setting existed has its default.
        there = Recipe.model_validate_json(file.read_text()).model_dump()
        now = recipe.model_dump()
        names = [name for name in now if there[name] != now[name]]
        if names:
            differences = "\n  ".join(
                f"{name}: {there[name]} there, {now[name]} now" for name in names
            )
            raise ValueError(
                f"{out} holds a run of another recipe:\n  {differences}\nName another folder with "
                "--out, or delete it."
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    scratch = file.with_suffix(f".{os.getpid()}.new")
    scratch.write_text(recipe.model_dump_json(indent=2) + "\n")
    scratch.replace(file)


@torch.no_grad()
def _check_fit(network: nn.Module, data: Data) -> None:
    """Checks that the network takes the samples, and has a class for each label of the first ones.

    Raises:
        ValueError: If not; the message says what does not fit.
    """
    inputs, labels = data.batch(range(min(256, len(data))))
    training = network.training
    try:
        logits = network.eval()(inputs[:2])
    except Exception as error:  # whatever a network raises, it does not fit the data
        raise ValueError(
            f"the network cannot take inputs of shape {list(inputs[:2].shape)} from {data.name}: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error
    finally:
        network.train(training)
    try:
        check_logits(logits, labels[:2])
        check_labels(labels, logits.shape[1])
    except ValueError as error:
        raise ValueError(f"{data.name}: {error}") from error


def _batches(data: Data, recipe: Recipe, epoch: int, fabric: "Fabric") -> Iterator[Any]:
    if recipe.batch_size > len(data) or recipe.batch_size % fabric.world_size:
        raise ValueError(
            f"batch_size={recipe.batch_size} does not fit {len(data)} samples of {data.name} on "
            f"{fabric.world_size} ranks: expected a multiple of the ranks, at most the samples."
        )
    generator = torch.Generator().manual_seed(recipe.seed + 7_919 * (epoch + 1))
    order = torch.randperm(len(data), generator=generator)
    seeds = torch.randint(2**62, (len(data),), generator=generator)
    augment = load_augmentation(recipe.augmentation)
    for start in range(0, len(data) - recipe.batch_size + 1, recipe.batch_size):
        batch = order[start : start + recipe.batch_size][fabric.global_rank :: fabric.world_size]
        inputs, labels = data.batch(batch.tolist())
        inputs = augment(inputs, seeds[batch].tolist())
        yield inputs.to(fabric.device), labels.to(fabric.device)


def _epoch(
    fabric: "Fabric", module: Any, optimizer: Any, recipe: Recipe, *, data: Data, epoch: int
) -> float:
    """Goes through the data once and gives the mean loss."""
    objective = load_objective(recipe.objective)
    module.train()
    losses = []
    for inputs, labels in _batches(data, recipe, epoch, fabric):
        optimizer.zero_grad()
        # An attack on the network inside the wrappers shall have the precision of the update.
        with fabric.autocast():
            loss = objective(module, inputs, labels)
        fabric.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
    mean = torch.stack(losses).mean()
    if not mean.isfinite():
        raise ValueError(
            f"the loss became {mean.item()} in epoch {epoch + 1}: lower the learning rate."
        )
    reduced: Any = fabric.all_reduce(mean, reduce_op="mean")
    return float(reduced)


def _restore(fabric: "Fabric", checkpoint: Path, state: dict[str, Any]) -> None:
    if not checkpoint.exists():
        return
    try:
        fabric.load(checkpoint, state, weights_only=True)
    except (RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"the checkpoint {checkpoint} is damaged ({' '.join(str(error).split())[:200]}). "
            "Delete the folder of the run to begin again."
        ) from error


def _save(fabric: "Fabric", out: Path, state: dict[str, Any], measured: dict[str, float]) -> None:
    fabric.save(out / "last.ckpt.new", state)
    if fabric.is_global_zero:
        (out / "last.ckpt.new").replace(out / "last.ckpt")
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(measured) + "\n")
    fabric.barrier()


def _finish(
    fabric: "Fabric", recipe: Recipe, out: Path, revision: str, *, validation: Data, test: Data
) -> Card:
    fabric.barrier()
    weights = out / f"{recipe.name}.safetensors"
    best = load_weights(weights, recipe.architecture).to(fabric.device)
    card = Card(
        name=recipe.name,
        architecture=recipe.architecture,
        data=recipe.data,
        recipe=recipe.name,
        accuracy={
            recipe.validation: accuracy(best, validation),
            recipe.test: accuracy(best, test),
        },
        sha256=file_sha256(weights),
        revision=revision,
        versions=runtime.versions(),
    )
    if fabric.is_global_zero:
        (out / f"{recipe.name}.json").write_text(card.model_dump_json(indent=2) + "\n")
    fabric.barrier()
    return card
