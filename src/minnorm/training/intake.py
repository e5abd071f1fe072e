"""What is looked at before a training begins: the folder, the network, the data."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.data import Data
from minnorm.errors import in_short
from minnorm.files import write_whole
from minnorm.losses import check_labels, check_logits
from minnorm.models import build, load_model
from minnorm.training import checkpoints
from minnorm.training.augmentation import load_augmentation
from minnorm.training.recipe import Recipe


def make_network(recipe: Recipe, *, trust: bool = False) -> nn.Module:
    """Makes the network to begin with.

    Args:
        recipe: The recipe.
        trust: Let the file of the initial network run the code that it holds.

    Raises:
        ValueError: If the one of which it shall have the weights is another one.
    """
    network = build(recipe.architecture)
    if recipe.initial is None:
        return network
    try:
        network.load_state_dict(load_model(recipe.initial, trust=trust).state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"initial: {recipe.initial!r} is no network of the architecture "
            f"{recipe.architecture!r}: {in_short(error)}"
        ) from error
    return network


def claim(out: Path, recipe: Recipe, *, resume: bool) -> None:
    """Writes the recipe into the folder of the run, or checks that it is the one there.

    Raises:
        ValueError: If another run is there, or this one without `resume`.
    """
    file = out / "recipe.json"
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: --out names the folder of the run.")
    if file.exists():
        try:
            # Read as a recipe, so that one written before a setting existed has its default.
            there = Recipe.model_validate_json(file.read_text()).model_dump()
        except ValueError as error:
            raise ValueError(
                f"{file} is damaged, or no recipe of this version ({in_short(error)}): name "
                f"another folder with --out, or delete {out}."
            ) from error
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
        if not resume:
            raise ValueError(
                f"{out} holds a run of this recipe: go on with it by --resume, name another folder "
                "with --out, or delete it."
            )
        return
    if checkpoints.are_in(out):
        raise ValueError(
            f"{out} holds checkpoints of a run whose recipe.json is gone: name another folder with "
            "--out, or delete it."
        )
    out.mkdir(parents=True, exist_ok=True)
    text = recipe.model_dump_json(indent=2) + "\n"
    write_whole(file, lambda path: path.write_text(text))


@torch.no_grad()
def check_takes(network: nn.Module, inputs: Float[Tensor, "b *d"], source: str) -> Any:
    """Gives what a network answers in evaluation mode.

    Raises:
        ValueError: If it raises anything.
    """
    training = network.training
    try:
        return network.eval()(inputs)
    except Exception as error:  # whatever a network raises, it does not fit the data
        raise ValueError(
            f"the network cannot take inputs of shape {list(inputs.shape)} from {source}: "
            f"{in_short(error)}"
        ) from error
    finally:
        network.train(training)


def check_fit(network: nn.Module, data: Data) -> None:
    """Checks that the network takes the samples, and has a class for each label of the first ones.

    Raises:
        ValueError: If not; the message says what does not fit.
    """
    inputs, labels = data.batch(range(min(256, len(data))))
    logits = check_takes(network, inputs[:2], data.name)
    try:
        check_logits(logits, labels[:2])
        check_labels(labels, logits.shape[1])
    except ValueError as error:
        raise ValueError(f"{data.name}: {error}") from error


def check_augmentation(recipe: Recipe, network: nn.Module, data: Data) -> None:
    """Checks on the first samples that the transforms give what the network takes.

    Raises:
        ValueError: If not; the message says what was raised, or what came out.
    """
    inputs, _ = data.batch(range(min(2, len(data))))
    names = ", ".join(recipe.augmentation)
    try:
        augmented: object = load_augmentation(recipe.augmentation)(inputs, range(len(inputs)))
    except Exception as error:  # whatever a transform raises
        raise ValueError(f"augmentation: {names} raised {in_short(error)}") from error
    if not isinstance(augmented, Tensor) or not augmented.is_floating_point():
        raise ValueError(f"augmentation: {names} gives no images in 0..1, floating point.")
    check_takes(network, augmented, f"{data.name} behind {names}")


def check_batch_size(recipe: Recipe, data: Data, ranks: int) -> None:
    """Checks that the data fill a batch, and that the ranks can share it.

    Raises:
        ValueError: If not.
    """
    if recipe.batch_size > len(data) or recipe.batch_size % ranks:
        raise ValueError(
            f"batch_size={recipe.batch_size} does not fit {len(data)} samples of {data.name} on "
            f"{ranks} ranks: expected a multiple of the ranks, at most the samples."
        )
