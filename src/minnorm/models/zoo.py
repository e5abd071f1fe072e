"""The zoo: trained networks, each a card (JSON) beside its weights (safetensors)."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from torch import nn

from minnorm import specs
from minnorm.models.weights import file_sha256, load_weights


class Card(BaseModel):
    """What is known of a trained network.

    Attributes:
        name: The name after `zoo:`.
        architecture: The spec that builds it.
        data: The spec of the data it was trained on.
        recipe: The whole recipe that trained it, see `minnorm.training.Recipe`.
        accuracy: The share of correct predictions, 0 to 1, on each set by its data spec.
        robust_accuracy: The share of correct predictions under attack, 0 to 1, by a sentence that
            names the data, the attack and the radius; an upper bound, as with any attack.
        forwards_per_image: Forward passes that attacks took for each training image, all epochs
            together, without those of the updates; `None` where they were not counted.
        gradients_per_image: The same of their gradients.
        sha256: Of the weight file.
        fingerprints: The SHA-256 of the data of the recipe, by their specs, and of the networks
            that it began with or that its objective asks.
        sessions: What trained it, one after the other where it was interrupted: `started`, `ranks`,
            the `revision` of the code, the `versions` of the libraries, the `hardware`; of the
            first networks less is known.
        notes: What else one should know.
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
    """Gives the folder of the shipped networks."""
    return Path(str(importlib.resources.files("minnorm.models") / "zoo"))


def zoo_cards() -> dict[str, Card]:
    """Gives the cards of all shipped networks by name."""
    return {
        path.stem: Card.model_validate(json.loads(path.read_text()))
        for path in sorted(zoo_folder().glob("*.json"))
    }


def load_zoo(name: str) -> nn.Module:
    """Loads a shipped network with its trained weights.

    Raises:
        ValueError: If there is no such network, or its weights differ from the card's SHA-256.
    """
    cards = zoo_cards()
    card = cards[specs.choose(name, cards, "network in the zoo called")]
    path = zoo_folder() / f"{name}.safetensors"
    found = file_sha256(path)
    if found != card.sha256:
        raise ValueError(
            f"{path} has SHA-256 {found}, its card says {card.sha256}: the file is damaged, "
            "install the package again."
        )
    return load_weights(path, card.architecture)
