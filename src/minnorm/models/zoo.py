"""The zoo: trained networks, each with its weights (safetensors) and a card (JSON)."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from torch import nn

from minnorm import specs
from minnorm.errors import InputError
from minnorm.models.weights import file_sha256, load_weights


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
    sha256: str
    fingerprints: dict[str, str]
    sessions: tuple[dict[str, Any], ...]
    notes: str = ""


def zoo_folder() -> Path:
    """Return the folder of the shipped networks."""
    return Path(str(importlib.resources.files("minnorm.models") / "zoo"))


def zoo_cards() -> dict[str, Card]:
    """Return the cards of all shipped networks by name."""
    return {
        path.stem: Card.model_validate(json.loads(path.read_text()))
        for path in sorted(zoo_folder().glob("*.json"))
    }


def load_zoo(name: str) -> nn.Module:
    """Load a shipped network with its trained weights.

    Raises:
        InputError: If the name is unknown, or the SHA-256 of the weights differs from the card.
    """
    cards = zoo_cards()
    card = cards[specs.choose(name, cards, "network", "in the zoo")]
    path = zoo_folder() / f"{name}.safetensors"
    found = file_sha256(path)
    if found != card.sha256:
        raise InputError(
            f"{path} has SHA-256 {found}, expected {card.sha256}: the file is damaged. Install the "
            "package again."
        )
    return load_weights(path, card.architecture)
