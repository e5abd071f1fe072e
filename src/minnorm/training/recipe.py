"""Recipes: all that it takes to train a network again, in one YAML file."""

import importlib.resources
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)

from minnorm import specs
from minnorm.attacks import load_attack
from minnorm.training.augmentation import load_augmentation
from minnorm.training.objectives import load_objective


def _no_truth_value(value: object) -> object:
    """Refuses `yes` and `true`, which Python takes for 1."""
    if isinstance(value, bool):
        raise ValueError("a truth value was given; expected a number")
    return value


_Whole = Annotated[int, BeforeValidator(_no_truth_value)]
_Count = Annotated[_Whole, Field(ge=1)]
_Number = Annotated[float, BeforeValidator(_no_truth_value), Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Optimizer(_Part):
    """Stochastic gradient descent with momentum (`sgd`), or `adamw`, which has none.

    Attributes:
        name: Which of the two.
        learning_rate: The largest, before the schedule.
        momentum: Of `sgd`, 0.9 by default.
        nesterov: Whether it is Nesterov's.
        weight_decay: The factor of the weights' L2 penalty in `sgd`; in `adamw` it is decoupled.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[_Number, Field(gt=0)]
    momentum: Annotated[_Number, Field(ge=0, lt=1)] = 0.9
    nesterov: StrictBool = False
    weight_decay: Annotated[_Number, Field(ge=0)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _no_momentum_by_default(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("name") == "adamw":
            return {"momentum": 0.0, **given}
        return given

    @model_validator(mode="after")
    def _momentum_is_of_sgd(self) -> Self:
        given = [name for name in ("momentum", "nesterov") if getattr(self, name)]
        if self.name == "adamw" and given:
            raise ValueError(f"adamw takes no {' and no '.join(given)}")
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Schedule(_Part):
    """How the learning rate changes, update by update.

    Attributes:
        name: `constant` leaves it as it is; `milestones` multiplies it by `factor` after each of
            `milestones` epochs; `cosine` and `linear` let it fall to 0.
        milestones: Numbers of epochs, in their order.
        factor: By what it is multiplied.
        warmup: In how many epochs, which may be a part of one, it rises from 0 at first.
    """

    name: Literal["constant", "milestones", "cosine", "linear"] = "constant"
    milestones: tuple[_Count, ...] = ()
    factor: Annotated[_Number, Field(gt=0, le=1)] = 0.1
    warmup: Annotated[_Number, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _milestones_are_in_order(self) -> Self:
        if self.milestones and self.name != "milestones":
            raise ValueError(f"{self.name} takes no milestones, but name: milestones does")
        if self.name == "milestones" and not self.milestones:
            raise ValueError("which milestones? for example milestones: [30, 40]")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)} are not in rising order")
        return self


class RobustValidation(_Part):
    """What tells after each epoch how robust the network is.

    Attributes:
        attack: The attack's spec: a short one.
        epsilon: The radius, in the attack's norm.
        images: How many validation images are attacked, the first ones.
    """

    attack: str = "normal_pursuit(budget=30)"
    epsilon: Annotated[_Number, Field(gt=0)]
    images: _Count = 500

    @field_validator("attack")
    @classmethod
    def _known_attack(cls, spec: str) -> str:
        load_attack(spec)
        return spec

    @model_validator(mode="after")
    def _same_radius(self) -> Self:
        if any(own != self.epsilon for own in _radii(self.attack)):
            raise ValueError(
                f"{self.attack} looks within another radius than epsilon={self.epsilon:g}"
            )
        return self


def _radii(attack: str) -> Iterator[object]:
    """Gives the radii within which an attack looks, or those that it is made of."""
    for name, value in specs.parse(attack).arguments.items():
        if name == "epsilon":
            yield value
        elif name in ("attack", "attacks"):
            for inner in [value] if isinstance(value, str) else value:
                yield from _radii(inner)


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
        objective: The spec of the loss, see `minnorm.training.load_objective`; or several, each
            by the epoch, counted from 1, from which it holds, as where a radius or a budget grows.
            Then the best epoch is one of the last objective's.
        epochs: How often to go through the data.
        batch_size: Samples in a batch, over all ranks together. The last batch of an epoch is left
            out when it is not full; the order changes with each epoch.
        augmentation: What is done to the training images, see `load_augmentation`.
        optimizer: The optimiser.
        schedule: How the learning rate changes.
        largest_gradient: Where set, the L2 norm to which longer gradients are clipped.
        ema: Where set, the decay of an exponential moving average of the weights, update by update;
            the average is what is validated and kept.
        robust_validation: Where set, the best epoch is chosen by accuracy under this attack.
        compile: Whether the network is compiled by `torch.compile`.
        precision: As Lightning Fabric names it; the weights stay in float32.
        seed: Decides the initial weights, the order of the data, the augmentation and the dropout.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=100)]
    architecture: str
    data: str
    validation: str
    test: str
    initial: str | None = None
    objective: str | dict[int, str] = "clean"
    epochs: _Count
    batch_size: _Count
    augmentation: tuple[str, ...] = ()
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    largest_gradient: Annotated[_Number, Field(gt=0)] | None = None
    ema: Annotated[_Number, Field(gt=0, lt=1)] | None = None
    robust_validation: RobustValidation | None = None
    compile: StrictBool = False
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: Annotated[_Whole, Field(ge=0, lt=2**32)] = 0

    @field_validator("name")
    @classmethod
    def _no_file_of_the_run(cls, name: str) -> str:
        if name == "recipe":
            raise ValueError("its card would take the place of recipe.json: choose another name")
        return name

    @field_validator("objective")
    @classmethod
    def _known_objectives(cls, given: str | dict[int, str]) -> str | dict[int, str]:
        for spec in [given] if isinstance(given, str) else given.values():
            load_objective(spec)
        return given

    @model_validator(mode="after")
    def _parts_fit_the_epochs(self) -> Self:
        starts = list(self.objectives)
        if not starts or starts[0] != 1 or starts[-1] > self.epochs:
            raise ValueError(
                f"objective: there is one from each of the epochs {starts}; the first of them has "
                f"to be 1, and the last at most epochs={self.epochs}"
            )
        if self.schedule.warmup >= self.epochs:
            raise ValueError(
                f"schedule.warmup={self.schedule.warmup:g}: expected less than epochs={self.epochs}"
            )
        return self

    @property
    def objectives(self) -> dict[int, str]:
        """The specs of the losses, by the epoch, counted from 1, from which each holds."""
        given = {1: self.objective} if isinstance(self.objective, str) else self.objective
        return dict(sorted(given.items()))

    @field_validator("augmentation")
    @classmethod
    def _known_transforms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        load_augmentation(names)
        return names


_ENDINGS = (".yaml", ".yml", ".json")


def shipped_recipes() -> dict[str, Path]:
    """Gives the files of the recipes that come with the package, by name."""
    folder = Path(str(importlib.resources.files("minnorm.training") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(source: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe.

    Args:
        source: A YAML file, the `recipe.json` of a run, or the name of a shipped recipe.
        settings: Changes to it, each `key=value` with dots into its parts, for example
            `optimizer.learning_rate=0.05`; values are read as YAML.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not YAML or not a recipe; the message names each wrong field.
    """
    try:
        import yaml
    except ImportError as error:
        raise ImportError("training needs PyYAML: pip install 'minnorm[training]'") from error
    path = Path(source)
    if path.suffix not in _ENDINGS:
        if path.is_file():
            raise ValueError(
                f"{path}: a recipe is a file whose name ends in {', '.join(_ENDINGS)}."
            )
        path = shipped_recipes()[specs.choose(str(source), shipped_recipes(), "recipe")]
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {path}.")
    try:
        text = path.read_text()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a recipe: it is no text ({error}).") from error
    try:
        content = _read_yaml(text)
        changes = [(setting, *setting.partition("=")[::2]) for setting in settings]
        values = [(setting, key.strip(), _read_yaml(value)) for setting, key, value in changes]
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # of dates that there are not
        raise ValueError(f"{path} or a setting cannot be read as YAML: {error}") from error
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


def _read_yaml(text: str) -> Any:
    import yaml

    _check_keys(yaml.compose(text, yaml.SafeLoader))
    return yaml.safe_load(text)


def _check_keys(node: Any) -> None:
    """Checks that no key is given twice: YAML takes the last one without a word."""
    if node is None or not isinstance(node.value, list):
        return
    parts = node.value
    if node.id == "mapping":
        keys, parts = [key.value for key, _ in node.value], [part for _, part in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"the key {key!r} is given {keys.count(key)} times.")
    for part in parts:
        _check_keys(part)


_IN_WORDS_OF_RECIPES = {
    "model_type": "expected settings of its own, as in optimizer.learning_rate=0.05",
    "tuple_type": "expected a list",
    "string_pattern_mismatch": (
        "expected lower-case letters, digits, dots and dashes, a letter or digit first"
    ),
}
"""What is told of problems, by pydantic's names for them, where its own words are Python's."""


def _explain(place: tuple[int | str, ...], message: str, kind: str) -> str:
    message = message.removeprefix("Value error, ")
    # Of the ways to write an objective, pydantic names the types, which no recipe has.
    parts = [str(part) for part in place if part not in ("str", "dict[int,str]", "[key]")]
    if not parts:  # of the recipe as a whole
        return message
    *path, last = parts
    if kind == "extra_forbidden":
        part: Any = Recipe
        for name in path:  # a part that may be missing is a union with None
            declared = part.model_fields[name].annotation
            part = next((one for one in get_args(declared) if one is not NoneType), declared)
        try:
            specs.choose(last, part.model_fields, "setting" + "".join(f" {name}" for name in path))
        except ValueError as error:
            return str(error)
    return f"{'.'.join(parts)}: {_IN_WORDS_OF_RECIPES.get(kind, message)}"


def _change(content: dict[str, Any], setting: str, key: str, value: Any) -> None:
    if "=" not in setting or not key:
        raise ValueError(f"cannot read the setting {setting!r}: write key=value.")
    *path, last = key.split(".")
    for part in path:
        if content.setdefault(part, {}) is None:
            content[part] = {}
        content = content[part]
        if not isinstance(content, dict):
            raise ValueError(f"cannot set {key!r}: {part!r} is a value, not a group of values.")
    content[last] = value
