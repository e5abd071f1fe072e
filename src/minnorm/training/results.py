"""The result of a training: the weights of the best epoch, and their card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from minnorm.data import Data
from minnorm.errors import InputError, one_line
from minnorm.files import file_sha256, write_atomically
from minnorm.models import Card, build, save_weights
from minnorm.runtime import ranks
from minnorm.training import checkpoints
from minnorm.training.recipe import Recipe
from minnorm.training.run_folder import card_file, weights_file
from minnorm.training.validation import accuracy, robust_accuracy

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def write_results(
    fabric: "Fabric",
    recipe: Recipe,
    folder: Path,
    state: Mapping[str, Any],
    *,
    validation: Data,
    test: Data,
    warnings: Sequence[str] = (),
) -> Card:
    """Write the weights of the best epoch and their card; all ranks call it.

    Args:
        fabric: Devices and ranks.
        recipe: The recipe.
        folder: The folder of the run.
        state: The state of the run after its last epoch.
        validation: The data on which the epoch was chosen.
        test: The data on which the result is reported.
        warnings: What makes the accuracies doubtful; the card has it, and what the data say.

    Returns:
        The card.

    Raises:
        InputError: If the architecture now builds another network than the one that was trained.
        OSError: If a file cannot be written.
    """
    best = build(recipe.architecture)
    try:
        best.load_state_dict(state["kept"])
    except RuntimeError as error:
        raise InputError(
            f"architecture: {recipe.architecture!r} is not the network that was trained "
            f"({one_line(error)}): it must build the same network each time."
        ) from error
    weights = weights_file(folder, recipe)
    with ranks.raise_on_all():
        if fabric.is_global_zero:
            save_weights(best, recipe.architecture, weights)
    best.to(fabric.device)
    log = state["log"]
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
        forwards_per_image=sum(line["forwards_per_image"] for line in log),
        gradients_per_image=sum(line["gradients_per_image"] for line in log),
        epoch=state["kept_epoch"],
        sha256=file_sha256(weights),
        fingerprints=state["fingerprints"],
        sessions=state["sessions"],
        notes=" ".join(dict.fromkeys([*validation.warnings, *test.warnings, *warnings])),
    )
    if fabric.is_global_zero:
        checkpoints.write_log(folder, log)  # the file may be ahead of the last checkpoint
        text = card.model_dump_json(indent=2) + "\n"
        write_atomically(card_file(folder, recipe), lambda path: path.write_text(text))
    fabric.barrier()
    return card


def _robust_accuracy(recipe: Recipe, network: nn.Module, test: Data) -> dict[str, float]:
    attacked = recipe.robust_validation
    if attacked is None:
        return {}
    images = min(attacked.images, len(test))
    part = "all" if images == len(test) else "drawn"
    name = f"{recipe.test}, {part} {images}: {attacked.attack} within {attacked.epsilon:g}"
    return {name: robust_accuracy(network, test, attacked)}
