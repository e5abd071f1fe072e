"""What the transcriptions share: the margin of one sample, its gradient, and annealing."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Classifier = Callable[[Tensor], Tensor]


def logits_of(model: Classifier, point: Tensor) -> Tensor:
    """Return the logits of one point, `[c]`."""
    return model(point[None])[0]


def is_adversarial(model: Classifier, point: Tensor, y: int, *, targeted: bool) -> bool:
    """Return whether the attack has reached its goal."""
    predicted = int(logits_of(model, point).argmax())
    return predicted == y if targeted else predicted != y


def margin(logits: Tensor, y: int, *, targeted: bool) -> Tensor:
    """Return the margin: positive before the boundary, negative beyond it."""
    largest_other = max(logits[j] for j in range(len(logits)) if j != y)
    return largest_other - logits[y] if targeted else logits[y] - largest_other


def loss_of(model: Classifier, point: Tensor, y: int) -> Tensor:
    """Return the cross-entropy to class y."""
    return cross_entropy(model(point[None]), torch.tensor([y]))


def gradient(loss: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """Return the gradient of a scalar function of one point."""
    variable = point.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(variable), variable)
    return found


def steepest(g: Tensor, norm: str) -> Tensor:
    """Return the direction of norm 1 in which a linear function grows most."""
    return g.sign() if norm == "linf" else g / g.norm()


def project(delta: Tensor, epsilon: float, norm: str) -> Tensor:
    """Project a perturbation onto the ball."""
    if norm == "linf":
        return delta.clamp(-epsilon, epsilon)
    return delta * epsilon / delta.norm() if delta.norm() > epsilon else delta


def cosine(first: float, last: float, step: int, steps: int) -> float:
    """Return the value at `step` of an annealing from `first` to `last`, both included."""
    return last + (first - last) * (1 + math.cos(math.pi * step / max(steps - 1, 1))) / 2


def farthest_corner(x: Tensor) -> float:
    """Return the L2 distance from x to the farthest corner of the unit box."""
    return float(torch.maximum(x, 1 - x).norm())
