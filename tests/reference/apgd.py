"""Algorithm 1 of the APGD paper, for one sample, from a given start."""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from reference.common import Classifier, gradient


def apgd_of_one_sample(
    model: Classifier, x: Tensor, y: int, start: Tensor, *, norm: str, epsilon: float, steps: int
) -> list[Tensor]:
    """Gives all points, from the start on."""

    def project(z: Tensor) -> Tensor:
        delta = z - x
        if norm == "linf":
            delta = delta.clamp(-epsilon, epsilon)
        elif delta.norm() > epsilon:
            delta = delta * epsilon / delta.norm()
        return (x + delta).clamp(0, 1)

    def objective(v: Tensor) -> Tensor:
        return cross_entropy(model(v[None]), torch.tensor([y]))

    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    checkpoints = [math.ceil(share * steps) for share in shares[1:]]
    eta, points, previous = 2 * epsilon, [start], start
    best, best_value = start, -math.inf
    last_value, rises, since = -math.inf, 0, 0
    best_before, halved_before = -math.inf, True
    current = start
    for k in range(steps):
        value = float(objective(current))
        rises += k > 0 and value > last_value
        last_value = value
        if value > best_value:
            best, best_value = current, value
        if k in checkpoints:
            halve = rises < 0.75 * (k - since) or (not halved_before and best_value <= best_before)
            if halve:
                eta /= 2
                current, last_value = best, best_value
            best_before, halved_before, rises, since = best_value, halve, 0, k
        g = gradient(objective, current)
        z = project(current + eta * (g.sign() if norm == "linf" else g / g.norm()))
        if k > 0:
            z = project(current + 0.75 * (z - current) + 0.25 * (current - previous))
        previous, current = current, z
        points.append(current)
    return points
