"""The zoo: trained networks, each with its weights (safetensors) and a card (JSON)."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from minnorm import specs
from minnorm.errors import InputError, MissingFileError, one_line
from minnorm.files import file_sha256
from minnorm.models.weights import load_weights

_ENDINGS = (".json", ".safetensors")

_RESTORE = "Install the package again, or copy the file again if the network is your own."


class Card(BaseModel):
    """The description of a trained network.

    Attributes:
        name: The name after `zoo:`.
        architecture: The spec that builds it.
        data: The spec of the training data.
        recipe: The complete recipe of the training, see `minnorm.training.Recipe`.
        accuracy: The share of correct predictions, 0 to 1, by the spec of the data set.
        robust_accuracy: The share of correct predictions under attack, 0 to 1, by a phrase that
            names the data, the attack and the radius. A stronger attack can only lower it.
        forwards_per_image: Forward passes of attacks per training image, in total over all epochs
            and without those of the updates; `None` if they were not counted.
        gradients_per_image: Gradients of attacks per training image, in total over all epochs.
        epoch: The epoch, counted from 1, after which these weights were taken: the best one. `None`
            on cards of the first networks.
        sha256: The SHA-256 of the weight file.
        fingerprints: The SHA-256 of the recipe's data sets, by their specs, of the initial network
            and of the networks in the objective.
        sessions: The training sessions in order, more than one if it was interrupted: `started`,
            `ranks`, the `revision` of the code, the `versions` of the libraries, the `hardware`.
            Cards of the first networks have fewer entries.
        notes: Further remarks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    architecture: str
    data: str
    recipe: dict[str, Any]
    accuracy: dict[str, float]
    robust_accuracy: dict[str, float] = {}
    forwards_per_image: float | None = None
    gradients_per_image: float | None = None
    epoch: int | None = None
    sha256: str
    fingerprints: dict[str, str]
    sessions: tuple[dict[str, Any], ...]
    notes: str = ""


def zoo_folder() -> Path:
    """Return the folder of the shipped networks."""
    return Path(str(importlib.resources.files("minnorm.models") / "zoo"))


def zoo_names() -> list[str]:
    """Return the names of all shipped networks."""
    return sorted({path.stem for ending in _ENDINGS for path in zoo_folder().glob(f"*{ending}")})


def zoo_cards() -> dict[str, Card]:
    """Return the cards of all shipped networks by name.

    Raises:
        InputError: If a card is missing or cannot be read.
    """
    return {name: read_card(zoo_folder() / f"{name}.json") for name in zoo_names()}


def read_card(path: Path) -> Card:
    """Read the card of a network.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If it cannot be read, or entries are missing, unknown or of a wrong type.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise MissingFileError(
            f"the network {path.stem!r} has no card: there is no file {path}. {_RESTORE}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"the card {path} cannot be read ({one_line(error)}). {_RESTORE}"
        ) from error
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(key) for key in entry['loc']) or 'the whole'}: {entry['msg']}"
            for entry in error.errors()
        ]
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError(
            f"the card {path} does not have the expected entries ({'; '.join(wrong[:3])}{more}). "
            f"{_RESTORE}"
        ) from error


def load_zoo(name: str) -> nn.Module:
    """Load a shipped network with its trained weights.

    Raises:
        MissingFileError: If its card or its weights are missing.
        InputError: If the name is unknown, or the SHA-256 of the weights differs from the card.
    """
    specs.choose(name, zoo_names(), "network", "in the zoo")
    card = read_card(zoo_folder() / f"{name}.json")
    path = zoo_folder() / f"{name}.safetensors"
    if not path.is_file():
        raise MissingFileError(
            f"the network {name!r} has no weights: there is no file {path}. {_RESTORE}"
        )
    found = file_sha256(path)
    if found != card.sha256:
        raise InputError(
            f"{path} has SHA-256 {found}, expected {card.sha256}: the file is damaged. {_RESTORE}"
        )
    return load_weights(path, card.architecture)
