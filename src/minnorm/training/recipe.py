"""Recipes: all that it takes to train a network again, in one YAML file."""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from minnorm import specs
from minnorm.training.augmentation import load_augmentation
from minnorm.training.objectives import load_objective


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sgd(_Part):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class Schedule(_Part):
    """Multiplies the learning rate by `factor` after each of `milestones` epochs."""

    milestones: tuple[Annotated[int, Field(ge=1)], ...] = ()
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1


class Recipe(_Part):
    """How to train a network.

    Attributes:
        name: What the trained network is called.
        architecture: The network's spec, see `minnorm.models.build`.
        data: The spec of the training data.
        validation: The spec of the data by which the best epoch is chosen.
        test: The spec of the data on which the result is reported; used once, at the end.
        initial: The spec of a trained network of this architecture to begin with; by default the
            weights are random.
        objective: The spec of the loss, see `minnorm.training.load_objective`.
        epochs: How often to go through the data.
        batch_size: Samples in a batch, over all ranks together. The last batch of an epoch is left
            out when it is not full; the order changes with each epoch.
        augmentation: What is done to the training images, see `load_augmentation`.
        optimizer: The optimiser.
        schedule: How the learning rate changes.
        precision: As Lightning Fabric names it; the weights stay in float32.
        seed: Decides the initial weights, the order of the data, the augmentation and the dropout.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    architecture: str
    data: str
    validation: str
    test: str
    initial: str | None = None
    objective: str = "clean"
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    augmentation: tuple[str, ...] = ()
    optimizer: Sgd
    schedule: Schedule = Schedule()
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: int = 0

    @field_validator("objective")
    @classmethod
    def _known_objective(cls, name: str) -> str:
        load_objective(name)
        return name

    @field_validator("augmentation")
    @classmethod
    def _known_transforms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        load_augmentation(names)
        return names


def shipped_recipes() -> dict[str, Path]:
    """Gives the files of the recipes that come with the package, by name."""
    folder = Path(str(importlib.resources.files("minnorm.training") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(source: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe.

    Args:
        source: A YAML file, or the name of a shipped recipe.
        settings: Changes to it, each `key=value` with dots into its parts, for example
            `optimizer.learning_rate=0.05`; values are read as YAML.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not YAML or not a recipe; the message names each wrong field.
    """
    import yaml

    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        path = shipped_recipes()[specs.choose(str(source), shipped_recipes(), "recipe")]
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {path}.")
    try:
        content = yaml.safe_load(path.read_text())
        changes = [(setting, *setting.partition("=")[::2]) for setting in settings]
        values = [(setting, key.strip(), yaml.safe_load(text)) for setting, key, text in changes]
    except yaml.YAMLError as error:
        raise ValueError(f"{path} or a setting is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a recipe: expected keys and values.")
    for setting, key, value in values:
        _change(content, setting, key, value)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        changed = f" with {', '.join(settings)}" if settings else ""
        problems = [
            _explain(problem["loc"], problem["msg"], problem["type"]) for problem in error.errors()
        ]
        raise ValueError(
            f"{path.name}{changed} is not a valid recipe.\n  " + "\n  ".join(problems)
        ) from error


def _explain(place: tuple[int | str, ...], message: str, kind: str) -> str:
    *path, last = [str(part) for part in place]
    if kind == "extra_forbidden":
        part: Any = Recipe
        for name in path:
            part = part.model_fields[name].annotation
        try:
            specs.choose(last, part.model_fields, "setting" + "".join(f" {name}" for name in path))
        except ValueError as error:
            return str(error)
    return f"{'.'.join([*path, last])}: {message}"


def _change(content: dict[str, Any], setting: str, key: str, value: Any) -> None:
    if "=" not in setting or not key:
        raise ValueError(f"cannot read the setting {setting!r}: write key=value.")
    *path, last = key.split(".")
    for part in path:
        content = content.setdefault(part, {})
        if not isinstance(content, dict):
            raise ValueError(f"cannot set {key!r}: {part!r} is a value, not a group of values.")
    content[last] = value
