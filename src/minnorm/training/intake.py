"""What is looked at before a training begins: the folder, the network, the data."""

from pathlib import Path

import torch
from torch import nn

from minnorm.data import Data
from minnorm.errors import in_short
from minnorm.files import write_whole
from minnorm.losses import check_labels, check_logits
from minnorm.models import build, load_model
from minnorm.training.recipe import Recipe


def make_network(recipe: Recipe) -> nn.Module:
    """Makes the network to begin with.

    Raises:
        ValueError: If the one of which it shall have the weights is another one.
    """
    network = build(recipe.architecture)
    if recipe.initial is None:
        return network
    try:
        network.load_state_dict(load_model(recipe.initial).state_dict())
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
                "another folder with --out, or delete this one."
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
    out.mkdir(parents=True, exist_ok=True)
    text = recipe.model_dump_json(indent=2) + "\n"
    write_whole(file, lambda path: path.write_text(text))


@torch.no_grad()
def check_fit(network: nn.Module, data: Data) -> None:
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
            f"{in_short(error)}"
        ) from error
    finally:
        network.train(training)
    try:
        check_logits(logits, labels[:2])
        check_labels(labels, logits.shape[1])
    except ValueError as error:
        raise ValueError(f"{data.name}: {error}") from error


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
