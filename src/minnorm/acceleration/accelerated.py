"""What `accelerate` gives: one classifier, as it is, exact and fast, and coarse and faster."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from torch import Tensor

Classifier: TypeAlias = Callable[[Tensor], Tensor]
"""Any callable that maps inputs `[b *d]` to logits `[b c]`."""

AnyModel = TypeVar("AnyModel")


def check_callable(model: object) -> None:
    """Checks that something can be asked as a classifier is.

    Raises:
        ValueError: If it is no function.
    """
    if not callable(model):
        raise ValueError(
            f"the model is a {type(model).__name__}; expected a function of inputs that gives "
            "logits, such as a PyTorch module or what minnorm.load_model gives."
        )


@dataclass(frozen=True)
class Accelerated:
    """A classifier prepared for attacks; itself a classifier, that answers as `exact` does.

    Attacks that know it look for directions with `coarse` as long as they are far from their end,
    go on with `exact`, and have what they found confirmed by `original`.

    Attributes:
        original: The model that was given, unchanged, which has the last word; of one in training
            mode a copy in evaluation mode.
        exact: Computes the same in the same precision, up to the order of additions.
        coarse: Computes the same in lower precision, faster; `None` where nothing is gained.
        used: What was done, in words that `accelerate` takes: to repeat a run exactly.
        notes: Why, a sentence each.
    """

    original: Classifier
    exact: Classifier
    coarse: Classifier | None
    used: str
    notes: tuple[str, ...]

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Gives the logits of a batch, in the model's own precision."""
        return self.exact(inputs)


def original(model: AnyModel | Accelerated) -> AnyModel | Classifier:
    """Gives the model of which an accelerated one was made; another one as it is."""
    return model.original if isinstance(model, Accelerated) else model
