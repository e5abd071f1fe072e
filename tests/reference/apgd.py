"""Algorithm 1 of the APGD paper, for one sample, from a given start."""

import math
from collections.abc import Callable

from torch import Tensor

from reference.common import Classifier, gradient, logits_of, loss_of, project, steepest


def ratio_of_three(logits: Tensor, y: int) -> Tensor:
    """Return the difference of logits ratio (eq. 6)."""
    ordered = logits.sort(descending=True).values
    largest_other = max(logits[j] for j in range(len(logits)) if j != y)
    return -(logits[y] - largest_other) / (ordered[0] - ordered[2])


def targeted_ratio(logits: Tensor, y: int, target: int) -> Tensor:
    """Return the difference of logits ratio towards a target (eq. 7)."""
    ordered = logits.sort(descending=True).values
    return -(logits[y] - logits[target]) / (ordered[0] - (ordered[2] + ordered[3]) / 2)


def objective_of(model: Classifier, x: Tensor, y: int, loss: str) -> Callable[[Tensor], Tensor]:
    """Return the function that a loss maximizes; the target is the most likely other class at x."""
    clean = logits_of(model, x)
    target = max((j for j in range(len(clean)) if j != y), key=lambda j: float(clean[j].detach()))
    objectives: dict[str, Callable[[Tensor], Tensor]] = {
        "cross-entropy": lambda v: loss_of(model, v, y),
        "dlr": lambda v: ratio_of_three(logits_of(model, v), y),
        "targeted-dlr": lambda v: targeted_ratio(logits_of(model, v), y, target),
    }
    return objectives[loss]


def apgd_of_one_sample(
    model: Classifier, x: Tensor, y: int, start: Tensor, *, norm: str, epsilon: float,
    steps: int, loss: str = "cross-entropy",
) -> list[Tensor]:  # fmt: skip
    """Return all points, from the start on."""
    objective = objective_of(model, x, y, loss)

    def inside(z: Tensor) -> Tensor:
        return (x + project(z - x, epsilon, norm)).clamp(0, 1)

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
        value = float(objective(current).detach())
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
        z = inside(current + eta * steepest(gradient(objective, current), norm))
        if k > 0:
            z = inside(current + 0.75 * (z - current) + 0.25 * (current - previous))
        previous, current = current, z
        points.append(current)
    return points
