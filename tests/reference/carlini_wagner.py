"""Eq. 5 and its search for the constant, for one sample, without early abort."""

import torch
from torch import Tensor

from reference.common import Classifier, gradient, is_adversarial, logits_of, margin


def carlini_wagner_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, searches: int, steps: int,
    step_size: float,
) -> tuple[list[Tensor], list[float]]:  # fmt: skip
    """Gives all points, search by search, and the constant of each."""
    start = torch.atanh((2 * x - 1) * (1 - 1e-6))
    c, low, high = 0.01, 0.0, float("inf")
    visited, constants = [], []
    for _ in range(searches):
        w, mean, square = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)
        success = False
        for i in range(steps + 1):
            point = x if i == 0 else (torch.tanh(start + w) + 1) / 2
            visited.append(point)
            constants.append(c)
            success = success or is_adversarial(model, point, y, targeted=targeted)
            if i == steps:
                break

            def loss(v: Tensor, c: float = c) -> Tensor:
                f = margin(logits_of(model, v), y, targeted=targeted).clamp(min=0)
                return ((v - x) ** 2).sum() + c * f

            g = gradient(loss, point) * (1 - torch.tanh(start + w) ** 2) / 2
            mean = 0.9 * mean + 0.1 * g
            square = 0.999 * square + 0.001 * g**2
            corrected = (square / (1 - 0.999 ** (i + 1))).sqrt() + 1e-8
            w = w - step_size * mean / (1 - 0.9 ** (i + 1)) / corrected
        if success:
            high = min(high, c)
        else:
            low = max(low, c)
        c = (low + high) / 2 if high < float("inf") else c * 10
    return visited, constants
