"""The pre-flight check of a training: it refuses bad recipes before anything is written.

It also collects what the training needs: the network, the objectives and the data.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm import boxes
from minnorm.data import Data, load_data
from minnorm.data.dataset import evenly_spaced
from minnorm.errors import InputError, RunConflictError, is_bug, one_line
from minnorm.logits import check_labels, check_logits
from minnorm.models import build, fingerprint, load_model, network_of
from minnorm.models.load import architecture_of
from minnorm.models.weights import check_state
from minnorm.training.augmentation import load_augmentation
from minnorm.training.checkpoints import Checkpoint
from minnorm.training.evaluation_mode import in_evaluation_mode
from minnorm.training.masks import check_masks, with_mask
from minnorm.training.objectives.contract import Adversarial, Objective
from minnorm.training.objectives.registry import load_objective
from minnorm.training.overlap import overlaps
from minnorm.training.recipe import Recipe
from minnorm.training.validation import robust_accuracy

_CHECKED_SAMPLES = 256
"""Samples of a data set that are checked, evenly spread: data is often sorted by class."""


@dataclass(frozen=True)
class Preflight:
    """What a training needs, checked.

    Attributes:
        network: The network to train, on the CPU, in training mode.
        objectives: The objectives, by the epoch, counted from 1, at which each starts.
        training: The training data.
        validation: The data on which the best epoch is chosen.
        test: The data on which the result is reported.
        classes: The number of classes of the network.
        fingerprints: The SHA-256 of the data, by their specs, of their masks, and of the networks
            that the training starts from or that its objectives use.
        warnings: What makes the accuracies of the run doubtful.
    """

    network: nn.Module
    objectives: Mapping[int, Objective | Adversarial]
    training: Data
    validation: Data
    test: Data
    classes: int
    fingerprints: dict[str, str]
    warnings: list[str]


def preflight(recipe: Recipe, *, ranks: int, resumes: bool, trust: bool) -> Preflight:
    """Load what a recipe names, and check that the parts fit together.

    What loads fast is checked first. The global random generators are seeded, which decides the
    initial weights.

    Args:
        recipe: The recipe.
        ranks: The number of ranks that will train.
        resumes: Whether a checkpoint follows: then the initial network is not needed.
        trust: Whether the file of the initial network may run the code that it holds.

    Raises:
        InputError: If a part cannot be loaded, or does not fit the others.
        MissingFileError: If data or the initial network do not exist.
    """
    seed_generators(recipe.seed)
    network = _make_network(recipe)
    fingerprints: dict[str, str] = {}
    if recipe.initial is not None and not resumes:
        _load_initial(recipe, recipe.initial, network, trust=trust)
        fingerprints[recipe.initial] = fingerprint(network)
    test, validation, training = (
        with_mask(load_data(spec), recipe.mask)
        for spec in (recipe.test, recipe.validation, recipe.data)
    )
    _check_batch_size(recipe, training, ranks)
    objectives = {start: load_objective(spec) for start, spec in recipe.objectives.items()}
    check_masks({recipe.objectives[start]: one for start, one in objectives.items()}, training)
    parts = {recipe.data: training, recipe.validation: validation, recipe.test: test}
    classes = [_check_data(network, data) for data in parts.values()]
    _check_augmentation(recipe, network, training)
    others = _other_networks(objectives)
    _check_other_networks(others, network, training)
    _check_robust_validation(recipe, network, validation)
    fingerprints |= {spec: data.fingerprint for spec, data in parts.items()}
    fingerprints |= {
        f"mask of {spec}": boxes.fingerprint(data.mask)
        for spec, data in parts.items()
        if data.mask is not None
    }
    fingerprints |= {name: fingerprint(other) for name, other in others.items()}
    judged = {f"validation: {recipe.validation}": validation, f"test: {recipe.test}": test}
    return Preflight(
        network,
        objectives,
        training,
        validation,
        test,
        classes[0],
        fingerprints,
        overlaps(training, judged),
    )


def seed_generators(seed: int) -> None:
    """Seed the global random generators of PyTorch, NumPy and Python."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _check_batch_size(recipe: Recipe, data: Data, ranks: int) -> None:
    if recipe.batch_size > len(data) or recipe.batch_size % ranks:
        raise InputError(
            f"batch_size={recipe.batch_size} does not fit: expected at most {len(data)}, the "
            f"samples of {data.name}, and a multiple of the number of ranks, {ranks}."
        )


def _make_network(recipe: Recipe) -> nn.Module:
    network = build(recipe.architecture)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InputError(f"architecture: {recipe.architecture!r} has no parameters to train.")
    check_state(network_of(network).state_dict())
    return network


def _load_initial(recipe: Recipe, initial: str, network: nn.Module, *, trust: bool) -> None:
    """Load the weights of the initial network into a network of the recipe's architecture."""
    loaded = load_model(initial, trust=trust)
    try:
        network.load_state_dict(loaded.state_dict())
    except RuntimeError as error:
        found = architecture_of(initial, loaded) or type(network_of(loaded)).__name__
        why = f" ({one_line(error)})" if found == recipe.architecture else ""
        raise InputError(
            f"initial: {initial!r} is a network of the architecture {found!r}, which does not fit "
            f"that of the recipe, {recipe.architecture!r}{why}: set architecture to the first one, "
            "or name another initial network."
        ) from error


@torch.no_grad()
def _logits(network: nn.Module, inputs: Float[Tensor, "b *d"], source: str) -> Any:
    """Return the output of a network in evaluation mode; `source` names the inputs in errors."""
    with in_evaluation_mode(network):
        try:
            return network(inputs)
        except Exception as error:  # whatever a network raises, it does not fit the data
            raise InputError(
                f"the network cannot take inputs of shape {list(inputs.shape)} from {source}: "
                f"{one_line(error)}"
            ) from error


def _check_data(network: nn.Module, data: Data) -> int:
    """Check on some samples that inputs are in 0..1, and that the network has a class for each.

    Returns:
        The number of classes of the network.
    """
    inputs, labels = data.batch(evenly_spaced(len(data), _CHECKED_SAMPLES))
    if not ((inputs >= 0) & (inputs <= 1)).all():  # this refuses NaN too
        raise InputError(
            f"{data.name} has values from {inputs.min():g} to {inputs.max():g}; training takes "
            "inputs in 0..1. Normalization belongs in the network: architecture: "
            "mine(mean=[0.5], std=[0.25])."
        )
    logits = _logits(network, inputs[:2], data.name)
    try:
        check_logits(logits, labels[:2])
        check_labels(labels, logits.shape[1])
    except InputError as error:
        raise InputError(f"{data.name}: {error}") from error
    if len(data.classes) > logits.shape[1]:
        raise InputError(
            f"{data.name} has {len(data.classes)} classes, but the network has only "
            f"{logits.shape[1]}: set its number of classes in architecture."
        )
    return int(logits.shape[1])


def _check_augmentation(recipe: Recipe, network: nn.Module, data: Data) -> None:
    """Check on some samples that the network takes what the augmentation returns."""
    inputs, _ = data.batch(evenly_spaced(len(data), _CHECKED_SAMPLES))
    augmented = load_augmentation(recipe.augmentation)(inputs, range(len(inputs)))
    _logits(network, augmented[:2], f"{data.name} after {', '.join(recipe.augmentation)}")


def _other_networks(objectives: Mapping[int, Objective | Adversarial]) -> dict[str, nn.Module]:
    """Return the fixed networks of the objectives, by a name for messages and the card."""
    return {
        f"network {number} of the objective of epoch {start}": other
        for start, objective in objectives.items()
        if isinstance(objective, Adversarial)
        for number, other in enumerate(objective.others, 1)
    }


def _check_other_networks(others: Mapping[str, nn.Module], network: nn.Module, data: Data) -> None:
    """Check that fixed networks return logits of the shape of those of the network in training."""
    if not others:
        return
    inputs, _ = data.batch(range(min(2, len(data))))
    expected = _logits(network, inputs, data.name).shape
    for name, other in others.items():
        try:
            found = _logits(other, inputs, data.name).shape
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        if found != expected:
            raise InputError(
                f"{name} returns logits of shape {list(found)}; expected {list(expected)}."
            )


def _check_robust_validation(recipe: Recipe, network: nn.Module, validation: Data) -> None:
    """Check on one sample that the attack of the validation can attack the network."""
    if recipe.robust_validation is None:
        return
    one = recipe.robust_validation.model_copy(update={"images": 1})
    try:
        robust_accuracy(network, validation, one)
    except InputError as error:
        raise InputError(f"robust_validation: {error}") from error
    except Exception as error:  # a user's attack raises errors of any kind
        if is_bug(error):
            raise
        raise InputError(f"robust_validation: {one_line(error)}") from error


def continued_fingerprints(
    checkpoint: Checkpoint, fingerprints: Mapping[str, str]
) -> dict[str, str]:
    """Check that data and fixed networks are those of the checkpoint; return its fingerprints too.

    Only the checkpoint has that of the network that the run started from.

    Raises:
        RunConflictError: If data or networks have changed since the run of the checkpoint started.
    """
    earlier: dict[str, str] = checkpoint.state["fingerprints"]
    changed = [spec for spec, found in fingerprints.items() if earlier.get(spec) != found]
    if changed:
        raise RunConflictError(
            f"{', '.join(changed)} changed since the run in {checkpoint.path.parent} started: name "
            "another folder with --out in the shell, out= in Python."
        )
    return {**fingerprints, **earlier}
