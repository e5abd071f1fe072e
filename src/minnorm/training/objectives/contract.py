"""What an objective is, and what those that attack the model in training have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy


class Objective(Protocol):
    """A training loss; its hyper-parameters are those of the function that made it."""

    def __call__(
        self, model: nn.Module, inputs: Float[Tensor, "b *d"], labels: Int64[Tensor, "b"], /
    ) -> Float[Tensor, ""]:
        """Gives the mean loss of a batch; the model is in training mode, inputs are in 0..1."""
        ...


Perturb = Callable[
    [nn.Module, Float[Tensor, "b *d"], Int64[Tensor, "b"], Generator], Float[Tensor, "b *d"]
]
"""`(model, inputs, labels, generator) -> what the model is trained on instead of the inputs`."""


def adversarial(perturb: Perturb) -> Objective:
    """Gives the mean cross-entropy on adversarial samples alone, `J(x~, y, theta)` (eq. 7, 9).

    They are made for the model in evaluation mode with frozen parameters, since that is what is
    attacked in the end; the loss is that of the model in training mode. What is random in making
    them follows from the global generator, as dropout does.

    Args:
        perturb: Makes the samples.
    """

    def objective(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        seed = int(torch.randint(2**62, ()))
        with under_attack(model) as target:
            points = perturb(target, inputs, labels, Generator(inputs.device).manual_seed(seed))
        return cross_entropy(model(points), labels)

    return objective


@contextmanager
def under_attack(model: nn.Module) -> Iterator[nn.Module]:
    """Gives the model without the wrappers of the ranks, in evaluation mode, parameters frozen.

    Afterwards all is as it was. No rank waits for another one in between, and autocast does not
    keep low-precision copies of frozen parameters, which would have no gradient in the update.
    """
    target = model
    while isinstance(inner := getattr(target, "module", None), nn.Module):
        target = inner
    modes = {part: part.training for part in model.modules()}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        model.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield target
    finally:
        for part, mode in modes.items():
            part.training = mode
        for parameter in trainable:
            parameter.requires_grad_(True)
