"""The contract of training objectives: a plain loss, or a perturbation and the loss on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from minnorm.errors import InputError


class Objective(Protocol):
    """A training loss; its hyper-parameters are arguments of the function that returns it."""

    def __call__(
        self, model: nn.Module, inputs: Float[Tensor, "b *d"], labels: Int64[Tensor, "b"], /
    ) -> Float[Tensor, ""]:
        """Return the mean loss of a batch; the model is in training mode, inputs are in 0..1."""
        ...


Perturb = Callable[
    [
        nn.Module,
        Float[Tensor, "b *d"],
        Int64[Tensor, "b"],
        Float[Tensor, "b *d"] | None,
        Generator,
    ],
    Float[Tensor, "b *d"],
]
"""`(model, inputs, labels, starts, generator) -> points`: the perturbed inputs to train on.

With a mask it is called with one more argument, `mask=`: a boolean tensor that broadcasts to the
batch, true for the features that may change.
"""


Loss = Callable[
    [nn.Module, Float[Tensor, "b *d"], Float[Tensor, "b *d"], Int64[Tensor, "b"]],
    Float[Tensor, ""],
]
"""`(model, inputs, points, labels) -> scalar loss`."""


@dataclass(frozen=True)
class Adversarial:
    """An objective that perturbs the inputs and trains on the result: two pure functions.

    `minnorm.training.train` calls `perturb` with the model in evaluation mode and with frozen
    parameters, as in an attack after the training, and then `loss` with the model in training
    mode. The generator is seeded from PyTorch's global one, and is the same on all ranks.

    To change one of the functions of an objective, use `dataclasses.replace`.

    Attributes:
        perturb: `(model, inputs, labels, starts, generator) -> points`, in the shape of the inputs;
            it needs a parameter `mask` if the data or the recipe have one.
        loss: `(model, inputs, points, labels) -> scalar loss`.
        warm_start: Whether `starts` are the points of the previous epoch, in the first epoch the
            inputs; otherwise `starts` is `None`.
        others: Other networks that `perturb` differentiates: their gradients are counted too.
    """

    perturb: Perturb
    loss: Loss
    warm_start: bool = False
    others: tuple[nn.Module, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.warm_start, bool):
            raise InputError(f"warm_start={self.warm_start!r}: expected True or False.")
        if not all(isinstance(other, nn.Module) for other in self.others):
            raise InputError(
                f"others={self.others!r}: expected networks, for example those that "
                "minnorm.load_model returns."
            )
