"""The result of `accelerate`: the model as given, an exact fast copy, and a coarse faster one."""

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from minnorm.access import Access, access_of
from minnorm.errors import InputError
from minnorm.logits import Model

AnyModel = TypeVar("AnyModel")


def check_callable(model: object) -> None:
    """Check that a model can be called.

    Raises:
        InputError: If it cannot.
    """
    if not callable(model):
        advice = ""
        if hasattr(model, "predict"):
            advice = (
                " A classifier of scikit-learn becomes one: minnorm.models.from_estimator(model)."
            )
        raise InputError(
            f"the model is a {type(model).__name__}; expected a function from inputs to logits, "
            f"for example a torch.nn.Module or the result of minnorm.load_model.{advice}"
        )


@dataclass(frozen=True)
class Accelerated:
    """A model made faster for attacks. Called as a model itself, it returns what `exact` returns.

    An attack that supports it uses `coarse` in its early steps and `exact` in its last ones, and
    confirms its result with `original`.

    Attributes:
        original: The model as it was given, which makes the final decision; if a part of it was in
            training mode, a copy in evaluation mode.
        exact: A faster classifier of the same precision; it differs from the original only by
            rounding.
        coarse: A still faster classifier in lower precision; `None` if there is none worth using.
        used: The techniques in use. Passed to `accelerate`, these words repeat a run exactly.
        notes: The reasons, one sentence each.
    """

    original: Model
    exact: Model
    coarse: Model | None
    used: str
    notes: tuple[str, ...]

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Return the logits of a batch, in the model's own precision."""
        return self.exact(inputs)

    @property
    def access(self) -> Access:
        """What the original offers to an attack."""
        return access_of(self.original)


def original(model: AnyModel | Accelerated) -> AnyModel | Model:
    """Return the original of an accelerated model; return any other model unchanged."""
    return model.original if isinstance(model, Accelerated) else model
