"""Features that training leaves as they are: the mask of a recipe, or of its data."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from minnorm.box_arguments import sample_mask
from minnorm.boxes import is_interval
from minnorm.data import Data
from minnorm.data.array_files import read_mask_file
from minnorm.errors import InputError
from minnorm.training.objectives.contract import Adversarial, Objective


def with_mask(data: Data, file: str | None) -> Data:
    """Return data with the mask of a recipe; without one they keep their own.

    Args:
        data: The data.
        file: The `mask` of the recipe.

    Raises:
        InputError: If the mask is not as `Recipe.mask` describes, or the data have other bounds
            than 0 and 1.
        MissingFileError: If there is no such file.
    """
    if data.bounds is not None and not (is_interval(data.bounds) and data.bounds == (0, 1)):
        raise InputError(
            f"{data.name} has bounds of its own; training takes inputs in 0..1, with the same "
            "bounds for all features. Scale the features in the data, and leave out the bounds."
        )
    if file is None:
        return data
    try:
        return replace(data, mask=sample_mask(read_mask_file(Path(file)), data.sample_shape))
    except InputError as error:
        raise InputError(f"mask: {error}") from error


def check_masks(objectives: Mapping[str, Objective | Adversarial], data: Data) -> None:
    """Check that objectives which perturb inputs take the mask of the data, if there is one.

    Raises:
        InputError: If one does not.
    """
    if data.mask is None:
        return
    for name, objective in objectives.items():
        if isinstance(objective, Adversarial) and not _takes_mask(objective):
            raise InputError(
                f"objective: the function perturb of {name} has no parameter mask, so it cannot "
                "leave features as they are: add mask=None to it."
            )


def _takes_mask(objective: Adversarial) -> bool:
    parameters = inspect.signature(objective.perturb).parameters.values()
    return any(one.name == "mask" or one.kind is one.VAR_KEYWORD for one in parameters)
