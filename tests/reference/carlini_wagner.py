"""Eq. 5 of C&W and its search for the constant, for one sample."""

import torch
from torch import Tensor

from reference.common import Classifier, gradient, logits_of, margin


def carlini_wagner_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, searches: int, steps: int,
    step_size: float, initial_constant: float = 0.01, confidence: float = 0.0,
    abort_early: bool = False, bounded: bool = True,
) -> tuple[list[Tensor], list[float]]:  # fmt: skip
    """Return all points, search by search, and the constant of each.

    An unbounded input is the variable itself. The early abort is a rule of the attack: the mean
    loss of a tenth of the steps, at least 10, has to fall below the lowest one so far.
    """
    start = torch.atanh((2 * x - 1) * (1 - 1e-6)) if bounded else x
    c, low, high = initial_constant, 0.0, float("inf")
    visited, constants = [], []

    def excess(v: Tensor) -> Tensor:
        return margin(logits_of(model, v), y, targeted=targeted) + confidence

    for number in range(searches):
        if number >= 9 and number == searches - 1 and high < float("inf"):
            c = high
        w, mean, square = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)
        success, losses, lowest, idle = False, [], float("inf"), 0
        for i in range(steps + 1):
            point = (torch.tanh(start + w) + 1) / 2 if bounded else start + w
            point = x if i == 0 else point
            visited.append(point)
            constants.append(c)
            success = success or bool(excess(point) < 0)
            if i == steps:
                break

            def loss(v: Tensor, c: float = c) -> Tensor:
                return ((v - x) ** 2).sum() + c * excess(v).clamp(min=0)

            losses.append(float(loss(point).detach()))
            g = gradient(loss, point)
            if bounded:
                g = g * (1 - torch.tanh(start + w) ** 2) / 2
            mean = 0.9 * mean + 0.1 * g
            square = 0.999 * square + 0.001 * g**2
            corrected = (square / (1 - 0.999 ** (i + 1))).sqrt() + 1e-8
            w = w - step_size * mean / (1 - 0.9 ** (i + 1)) / corrected
            length = max(steps // 10, 10)
            if abort_early and (i + 1) % length == 0:
                average = sum(losses[-length:]) / length
                idle = 0 if average < 0.9999 * lowest else idle + 1
                lowest = min(lowest, average)
                if idle == 2:
                    break
        if success:
            high = min(high, c)
        else:
            low = max(low, c)
        c = (low + high) / 2 if high < float("inf") else c * 10
    return visited, constants
