"""Recipes: everything that is needed to train a network again."""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)

from minnorm import specs
from minnorm.attacks import load_attack
from minnorm.attacks.composition import radii_of
from minnorm.errors import InputError
from minnorm.training.augmentation import load_augmentation
from minnorm.training.objectives.registry import load_objective


def _refuse_boolean(value: object) -> object:
    """Refuse `yes` and `true`, which Python treats as 1."""
    if isinstance(value, bool):
        raise InputError("true or false was given; expected a number")
    return value


def _read_fraction(value: object) -> object:
    """Return the number of a text such as `8/255`, which YAML does not read as a number."""
    return specs.read_number(str(value)) if specs.is_fraction(value) else value


_Whole = Annotated[int, BeforeValidator(_refuse_boolean)]
_Count = Annotated[_Whole, Field(ge=1)]
_Number = Annotated[
    float,
    BeforeValidator(_refuse_boolean),
    BeforeValidator(_read_fraction),
    Field(allow_inf_nan=False),
]


_AS_TEXT = {"loads": False}


def _loads(info: ValidationInfo) -> bool:
    """Return whether a validator may load what a word names, which may run code."""
    return info.context != _AS_TEXT


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Optimizer(_Settings):
    """Stochastic gradient descent with momentum (`sgd`), or `adamw`.

    Attributes:
        name: `sgd` or `adamw`.
        learning_rate: The largest learning rate; the schedule lowers it.
        momentum: The momentum of `sgd`, 0.9 by default.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: In `sgd` the factor of an L2 penalty on the weights, in `adamw` decoupled from
            the gradient.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[_Number, Field(gt=0)]
    momentum: Annotated[_Number, Field(ge=0, lt=1)] = 0.9
    nesterov: StrictBool = False
    weight_decay: Annotated[_Number, Field(ge=0)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _no_momentum_of_adamw(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("name") == "adamw":
            return {"momentum": 0.0, **given}
        return given

    @model_validator(mode="after")
    def _momentum_fits_the_optimizer(self) -> Self:
        given = [name for name in ("momentum", "nesterov") if getattr(self, name)]
        if self.name == "adamw" and given:
            raise InputError(f"adamw takes no {' and no '.join(given)}: remove it")
        if self.nesterov and self.momentum == 0:
            raise InputError("nesterov needs a momentum above 0")
        return self


class Schedule(_Settings):
    """The factor of the learning rate, which changes with each update.

    Attributes:
        name: `constant` leaves the learning rate as it is; `milestones` multiplies it by `factor`
            after each of `milestones` epochs; `cosine` and `linear` lower it to 0.
        milestones: Numbers of epochs, in ascending order.
        factor: The factor at each milestone.
        warmup: The number of epochs, which may be a fraction, in which the learning rate rises from
            0 at the beginning.
    """

    name: Literal["constant", "milestones", "cosine", "linear"] = "constant"
    milestones: tuple[_Count, ...] = ()
    factor: Annotated[_Number, Field(gt=0, le=1)] = 0.1
    warmup: Annotated[_Number, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _milestones_fit_the_schedule(self) -> Self:
        if self.milestones and self.name != "milestones":
            raise InputError(f"{self.name} takes no milestones; use name: milestones")
        if self.name == "milestones" and not self.milestones:
            raise InputError("milestones are missing; set them, for example milestones: [30, 40]")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise InputError(f"milestones {list(self.milestones)}: expected ascending order")
        return self


class RobustValidation(_Settings):
    """The measurement of robustness after each epoch.

    Attributes:
        attack: The spec of the attack; a short one, since it runs after each epoch.
        epsilon: The radius, in the norm of the attack.
        images: The number of validation images that are attacked: drawn with a fixed seed, the same
            ones in every epoch and every run.
    """

    attack: str = "normal_pursuit(budget=30)"
    epsilon: Annotated[_Number, Field(gt=0)]
    images: _Count = 500

    @field_validator("attack")
    @classmethod
    def _attack_exists(cls, spec: str, info: ValidationInfo) -> str:
        if _loads(info):
            load_attack(spec)
        return spec

    @model_validator(mode="after")
    def _radius_is_that_of_the_attack(self, info: ValidationInfo) -> Self:
        if not _loads(info):
            return self
        radii = radii_of(load_attack(self.attack))
        if any(radius != self.epsilon for radius in radii):
            raise InputError(
                f"{self.attack} searches within another radius than epsilon={self.epsilon:g}: set "
                "both to the same radius"
            )
        return self


class Recipe(_Settings):
    """A recipe for training a network.

    The words of a recipe are loaded when it is made, to check them; its code is then trusted. See
    `load_recipe` for recipes from files, and `read_as_text`.

    Attributes:
        name: The name of the trained network.
        architecture: The spec of the network, see `minnorm.models.build`.
        data: The spec of the training data.
        validation: The spec of the data on which the best epoch is chosen.
        test: The spec of the data on which the result is reported; used once, at the end.
        initial: The spec of a trained network of this architecture to start from; by default the
            weights are random.
        objective: The spec of the loss, see `minnorm.training.load_objective`; or several, each
            with the epoch, counted from 1, at which it starts, for example for a radius or a number
            of steps that grows. The best epoch is then one of the last objective's.
        epochs: The number of passes through the data.
        batch_size: Samples in a batch, over all ranks together. An incomplete last batch of an
            epoch is left out; the order changes with each epoch.
        augmentation: The transforms of the training images, see `load_augmentation`.
        optimizer: The optimizer.
        schedule: The schedule of the learning rate.
        mask: A boolean array FILE.npy that broadcasts to a sample, true for the features that
            objectives and attacks may change, after augmentation. By default the masks of the data,
            see `minnorm.data.from_arrays`.
        largest_gradient: The largest L2 norm of a gradient; a longer one is clipped to it. By
            default gradients are not clipped.
        ema: The decay of an exponential moving average of the weights, updated with each update.
            The average is validated and kept. By default there is none.
        robust_validation: An attack; the best epoch is then chosen by accuracy under it.
        compile: Whether the network is compiled by `torch.compile`.
        precision: The precision in Lightning Fabric's terms; the weights stay in float32.
        seed: Decides the initial weights, the order of the data, augmentation and dropout.
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
    mask: str | None = None
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    largest_gradient: Annotated[_Number, Field(gt=0)] | None = None
    ema: Annotated[_Number, Field(gt=0, lt=1)] | None = None
    robust_validation: RobustValidation | None = None
    compile: StrictBool = False
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: Annotated[_Whole, Field(ge=0, lt=2**32)] = 0

    @property
    def objectives(self) -> dict[int, str]:
        """The specs of the losses, by the epoch, counted from 1, at which each starts."""
        given = {1: self.objective} if isinstance(self.objective, str) else self.objective
        return dict(sorted(given.items()))

    @field_validator("name")
    @classmethod
    def _name_is_no_file_of_the_run(cls, name: str) -> str:
        if name == "recipe":
            raise InputError(
                "the card of this name would overwrite recipe.json: choose another name"
            )
        return name

    @field_validator("objective")
    @classmethod
    def _objectives_exist(
        cls, given: str | dict[int, str], info: ValidationInfo
    ) -> str | dict[int, str]:
        if _loads(info):
            for spec in [given] if isinstance(given, str) else given.values():
                load_objective(spec)
        return given

    @field_validator("augmentation")
    @classmethod
    def _transforms_exist(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if _loads(info):
            load_augmentation(names)
        return names

    @model_validator(mode="after")
    def _objectives_and_warmup_fit_the_epochs(self) -> Self:
        starts = list(self.objectives)
        if not starts or starts[0] != 1 or starts[-1] > self.epochs:
            raise InputError(
                f"objective: the objectives start at the epochs {starts}; expected the first at 1 "
                f"and the last at epochs={self.epochs} or earlier"
            )
        if self.schedule.warmup >= self.epochs:
            raise InputError(
                f"schedule.warmup={self.schedule.warmup:g}: expected less than epochs={self.epochs}"
            )
        return self


def read_as_text(text: str) -> Recipe:
    """Return the recipe in a JSON text; nothing that it names is loaded.

    The result is for comparison only: what it names may not exist.

    Raises:
        ValidationError: If the text is not a recipe.
    """
    return Recipe.model_validate_json(text, context=_AS_TEXT)
