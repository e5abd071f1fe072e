"""Attacks of other libraries, and ours, as functions of one form."""

import inspect
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minnorm import attacks

sys.path.insert(0, str(Path(__file__).parent / "stand_ins"))  # adv-lib imports visdom
warnings.filterwarnings("ignore")

LIBRARIES = ("adv-lib", "foolbox", "torchattacks")
"""The other libraries."""

Run = Callable[[nn.Module, Tensor, Tensor, int], Tensor]
"""A run of an attack: `(model, inputs, labels, seed) -> points`. The global seed is set as well."""


def of_ours(attack: Callable[..., attacks.AttackResult], **settings: Any) -> Run:
    """Return a run of one of our attacks."""

    def run(model: nn.Module, inputs: Tensor, labels: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return attack(model, inputs, labels, generator=generator, **settings).adversarials

    return run


def of_adv_lib(name: str, **settings: Any) -> Run:
    """Return a run of an attack of adv-lib."""
    from adv_lib import attacks as theirs
    from adv_lib.attacks import auto_pgd

    function = getattr(theirs, name, None) or getattr(auto_pgd, name)

    def run(model: nn.Module, inputs: Tensor, labels: Tensor, seed: int) -> Tensor:  # noqa: ARG001
        points: Tensor = function(model, inputs, labels, **settings)
        return points.detach()

    return run


def of_foolbox(name: str, *, radius: float | None = None, **settings: Any) -> Run:
    """Return a run of an attack of foolbox."""
    import foolbox

    attack = getattr(foolbox.attacks, name)(**settings)

    def run(model: nn.Module, inputs: Tensor, labels: Tensor, seed: int) -> Tensor:  # noqa: ARG001
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=inputs.device)
        points: Tensor = attack(wrapped, inputs, labels, epsilons=radius)[1].detach()
        # If its C&W finds nothing, it returns a black image, which is often misclassified.
        found = points.flatten(1).any(1).view(-1, *(1,) * (points.ndim - 1))
        return torch.where(found, points, inputs)

    return run


class _Contiguous(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:  # noqa: ARG004
        return inputs.view_as(inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        return gradients[0].contiguous()


class ContiguousGradients(nn.Module):
    """A model whose input gradients are contiguous, which some attacks need."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.eval()
        self.training = False

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of the model."""
        logits: Tensor = self.model(_Contiguous.apply(inputs))
        return logits


def of_torchattacks(name: str, **settings: Any) -> Run:
    """Return a run of an attack of torchattacks."""
    import torchattacks

    attack = getattr(torchattacks, name)
    # Some of its attacks set the global seed: to the same one each time, without this argument.
    seeded = "seed" in inspect.signature(attack).parameters

    def run(model: nn.Module, inputs: Tensor, labels: Tensor, seed: int) -> Tensor:
        chosen = {**settings, "seed": seed} if seeded else settings
        points: Tensor = attack(ContiguousGradients(model), **chosen)(inputs, labels)
        return points.detach()

    return run
