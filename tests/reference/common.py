"""What the transcriptions share: the margin of one sample, its gradient, and annealing."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Classifier = Callable[[Tensor], Tensor]


def logits_of(model: Classifier, point: Tensor) -> Tensor:
    """Gives the logits of one point, `[c]`."""
    return model(point[None])[0]


def is_adversarial(model: Classifier, point: Tensor, y: int, *, targeted: bool) -> bool:
    """Whether the prediction is what the attack wants."""
    predicted = int(logits_of(model, point).argmax())
    return predicted == y if targeted else predicted != y


def margin(logits: Tensor, y: int, *, targeted: bool) -> Tensor:
    """Gives the margin: positive before the boundary, negative beyond it."""
    largest_other = max(logits[j] for j in range(len(logits)) if j != y)
    return largest_other - logits[y] if targeted else logits[y] - largest_other


def gradient(loss: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """Gives the gradient of a scalar function of one point."""
    variable = point.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(variable), variable)
    return found


def cosine(first: float, last: float, step: int, steps: int) -> float:
    """Gives the value at `step` of an annealing from `first` to `last`, both included."""
    return last + (first - last) * (1 + math.cos(math.pi * step / max(steps - 1, 1))) / 2
