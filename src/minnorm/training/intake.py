"""What is looked at before a training begins: the folder, the network, the data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.data import Data
from minnorm.data.dataset import spread
from minnorm.errors import in_short
from minnorm.files import sweep, take, write_whole
from minnorm.losses import check_labels, check_logits
from minnorm.models import build, fingerprint, load_model, network_of
from minnorm.models.weights import check_state
from minnorm.training import checkpoints
from minnorm.training.augmentation import load_augmentation
from minnorm.training.checkpoints import Checkpoint
from minnorm.training.objectives import Adversarial, Objective
from minnorm.training.objectives.contract import in_evaluation_mode
from minnorm.training.recipe import Recipe
from minnorm.training.validation import robust_accuracy

_RECIPE = "recipe.json"

_LOOKED_AT = 256
"""Samples of a data set that are looked at, all over it: data is often sorted by class."""


def make_network(recipe: Recipe, *, trust: bool, whole: bool) -> nn.Module:
    """Makes the network to begin with.

    Args:
        recipe: The recipe.
        trust: Let the file of the initial network run the code that it holds.
        whole: Whether it gets the weights of the initial network, rather than those of a checkpoint
            later on.

    Raises:
        ValueError: If its weights cannot be written, or if the one of which it shall have the
            weights is another one.
    """
    network = build(recipe.architecture)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError(f"architecture: {recipe.architecture!r} has no parameters to train.")
    check_state(network_of(network).state_dict())
    if recipe.initial is None or not whole:
        return network
    try:
        network.load_state_dict(load_model(recipe.initial, trust=trust).state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"initial: {recipe.initial!r} is no network of the architecture "
            f"{recipe.architecture!r}: {in_short(error)}"
        ) from error
    return network


def claim(out: Path, lock: FileLock, recipe: Recipe, *, resume: bool) -> None:
    """Writes the recipe into the folder of the run, or checks that it is the one there.

    A run that ended before its first epoch did leaves the folder free for another one.

    Args:
        out: The folder.
        lock: Keeps other processes out, until it is released.
        recipe: The recipe.
        resume: Whether a run that is there goes on.

    Raises:
        ValueError: If another run is there, or this one without `resume`, or what is no run; or if
            another process is at work there.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: --out names the folder of the run.")
    name = recipe.name
    written = (f"{name}.safetensors", f"{name}-last.safetensors", f"{name}.json", "log.jsonl")
    foreign = [name for name in written if (out / name).exists()]
    if foreign and not (out / _RECIPE).exists() and not checkpoints.are_in(out):
        raise ValueError(
            f"{out} holds {' and '.join(foreign)}, but no recipe.json of a run: they would be "
            "written over. Name another folder with --out."
        )
    take(lock, out)
    there = _recipe_in(out)
    if there is None and checkpoints.are_in(out):
        raise ValueError(
            f"{out} holds checkpoints of a run whose recipe.json is gone: name another folder with "
            "--out, or delete it."
        )
    if there is not None and (foreign or checkpoints.are_in(out)):
        _refuse_another(out, there, recipe)
        if not resume:
            raise ValueError(
                f"{out} holds a run of this recipe: go on with it by --resume, name another folder "
                "with --out, or delete it."
            )
        sweep(out)
        return
    text = recipe.model_dump_json(indent=2) + "\n"
    write_whole(out / _RECIPE, lambda path: path.write_text(text))


def _recipe_in(out: Path) -> Recipe | None:
    file = out / _RECIPE
    if not file.exists():
        return None
    try:
        return Recipe.model_validate_json(file.read_text())
    except ValueError as error:
        raise ValueError(
            f"{file} is damaged, or no recipe of this version ({in_short(error)}): name another "
            f"folder with --out, or delete {out}."
        ) from error


def _refuse_another(out: Path, there: Recipe, recipe: Recipe) -> None:
    # As recipes, so that one written before a setting existed has its default.
    old, new = there.model_dump(), recipe.model_dump()
    names = [name for name in new if old[name] != new[name]]
    if names:
        differences = "\n  ".join(f"{name}: {old[name]} there, {new[name]} now" for name in names)
        raise ValueError(
            f"{out} holds a run of another recipe:\n  {differences}\nName another folder with "
            "--out, or delete it."
        )


@torch.no_grad()
def check_takes(network: nn.Module, inputs: Float[Tensor, "b *d"], source: str) -> Any:
    """Gives what a network answers in evaluation mode.

    Raises:
        ValueError: If it raises anything.
    """
    with in_evaluation_mode(network):
        try:
            return network(inputs)
        except Exception as error:  # whatever a network raises, it does not fit the data
            raise ValueError(
                f"the network cannot take inputs of shape {list(inputs.shape)} from {source}: "
                f"{in_short(error)}"
            ) from error


def check_fit(network: nn.Module, data: Data) -> None:
    """Checks that the network takes the samples, and has a class for each label of some of them.

    Raises:
        ValueError: If not; the message says what does not fit.
    """
    inputs, labels = data.batch(spread(len(data), _LOOKED_AT))
    if not ((inputs >= 0) & (inputs <= 1)).all():  # NaN is not either
        raise ValueError(
            f"{data.name} goes from {inputs.min():g} to {inputs.max():g}; training takes inputs in "
            "0..1. Normalisation belongs into the network: architecture: mine(mean=[0.5], ...)."
        )
    logits = check_takes(network, inputs[:2], data.name)
    try:
        check_logits(logits, labels[:2])
        check_labels(labels, logits.shape[1])
    except ValueError as error:
        raise ValueError(f"{data.name}: {error}") from error
    if len(data.classes) > logits.shape[1]:
        raise ValueError(
            f"{data.name} has {len(data.classes)} classes, the network {logits.shape[1]}."
        )


def check_augmentation(recipe: Recipe, network: nn.Module, data: Data) -> None:
    """Checks on some samples that the transforms give what the network takes.

    Raises:
        ValueError: If not; the message says what was raised, or what came out.
    """
    inputs, _ = data.batch(spread(len(data), _LOOKED_AT))
    augmented = load_augmentation(recipe.augmentation)(inputs, range(len(inputs)))
    check_takes(network, augmented[:2], f"{data.name} behind {', '.join(recipe.augmentation)}")


def check_others(objectives: Mapping[int, Objective], network: nn.Module, data: Data) -> None:
    """Checks that the other networks of objectives answer as the one in training does.

    Raises:
        ValueError: If not.
    """
    others = _others(objectives)
    if not others:
        return
    inputs, _ = data.batch(range(min(2, len(data))))
    expected = check_takes(network, inputs, data.name).shape
    for name, other in others.items():
        try:
            found = check_takes(other, inputs, data.name).shape
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if found != expected:
            raise ValueError(
                f"{name} gives logits of shape {list(found)}; expected {list(expected)}."
            )


def fingerprints_of_others(objectives: Mapping[int, Objective]) -> dict[str, str]:
    """Gives the SHA-256 of the other networks of objectives, by what they are called."""
    return {name: fingerprint(other) for name, other in _others(objectives).items()}


def _others(objectives: Mapping[int, Objective]) -> dict[str, nn.Module]:
    return {
        f"network {number} of the objective of epoch {first}": other
        for first, objective in objectives.items()
        if isinstance(objective, Adversarial)
        for number, other in enumerate(objective.others, 1)
    }


def check_robust_validation(recipe: Recipe, network: nn.Module, validation: Data) -> None:
    """Checks on a sample that the attack of the validation can attack such a network.

    Raises:
        ValueError: If not.
    """
    if recipe.robust_validation is None:
        return
    try:
        robust_accuracy(network, validation[:1], recipe.robust_validation)
    except Exception as error:  # whatever an attack of the user raises
        raise ValueError(f"robust_validation: {in_short(error)}") from error


def check_same_data(checkpoint: Checkpoint, fingerprints: dict[str, str]) -> None:
    """Checks that a run goes on with the data, and the fixed networks, that it began with.

    What the checkpoint alone knows, the network that the run began with, is taken over.

    Raises:
        ValueError: If not.
    """
    there = checkpoint.state["fingerprints"]
    changed = [spec for spec, found in fingerprints.items() if there.get(spec) != found]
    if changed:
        raise ValueError(
            f"{', '.join(changed)} changed since {checkpoint.path.parent} was begun: name another "
            "folder with --out."
        )
    fingerprints |= there


def check_batch_size(recipe: Recipe, data: Data, ranks: int) -> None:
    """Checks that the data fill a batch, and that the ranks can share it.

    Raises:
        ValueError: If not.
    """
    if recipe.batch_size > len(data) or recipe.batch_size % ranks:
        raise ValueError(
            f"batch_size={recipe.batch_size} does not fit: expected at most {len(data)}, the "
            f"samples of {data.name}, and a multiple of the number of ranks, {ranks}."
        )
