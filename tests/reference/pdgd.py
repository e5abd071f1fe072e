"""The primal-dual gradient descent attack (L2), for one sample."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from reference.common import Classifier, gradient, is_adversarial, logits_of, margin


def pdgd_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, steps: int, step_size: float = 0.1,
    dual_step_size: float = 0.1, initial_ratio: float = 0.01,
) -> list[Tensor]:  # fmt: skip
    """Return all points, from x on.

    The two dual variables stay in a range in which no weight is below 1e-6: a rule of the attack.
    """
    points, r = [x], torch.zeros_like(x)
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    lambdas = torch.tensor([0.0, -math.log(initial_ratio)]).to(x)
    average = lambdas.softmax(0)
    for i in range(steps):
        weights = average.clone()

        def lagrangian(v: Tensor, weights: Tensor = weights) -> Tensor:
            norm = (v - x).norm() if bool((v != x).any()) else (v - x).sum() * 0
            penalty = softplus(margin(logits_of(model, v), y, targeted=targeted))
            return weights[0] * norm + weights[1] * penalty

        g = gradient(lagrangian, points[-1])
        mean = 0.9 * mean + 0.1 * g
        square = 0.999 * square + 0.001 * g**2
        corrected = (square / (1 - 0.999 ** (i + 1))).sqrt() + 1e-8
        step = step_size * 0.01 ** (i / steps)
        r = r - step * mean / (1 - 0.9 ** (i + 1)) / corrected
        adversarial = is_adversarial(model, points[-1], y, targeted=targeted)
        rate = dual_step_size * (0.1 + 0.9 * (1 - i / max(steps - 1, 1)))
        lambdas[1] = lambdas[1] + (-rate if adversarial else rate)
        lambdas[1] = lambdas[1].clamp(math.log(1e-6), -math.log(1e-6))
        average = 0.9 * average + 0.1 * lambdas.softmax(0)
        points.append((x + r).clamp(0, 1))
        r = points[-1] - x
    return points
