"""Algorithm 1 of the FMN paper, for one sample."""

import math

from torch import Tensor

from reference.common import (
    Classifier,
    cosine,
    gradient,
    is_adversarial,
    logits_of,
    margin,
    project,
)


def fmn_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool = False, norm: str = "l2", steps: int,
    step_size: float = 1.0, gamma: float = 0.05, start: Tensor | None = None,
) -> list[Tensor]:  # fmt: skip
    """Return all points x_0 to x_K; x_0 is the start, or else x.

    Before the first adversarial the attack has rules of its own. The paper's radius is on the
    boundary of the linear model, here it is beyond it by the factor gamma; and it grows by the
    first gamma at least.
    """
    order = 2 if norm == "l2" else math.inf
    dual = 2 if norm == "l2" else 1
    points, epsilon, found = [x if start is None else start], math.inf, False
    delta = points[0] - x
    best = 0.0 if is_adversarial(model, x, y, targeted=targeted) else math.inf
    for k in range(steps):
        alpha = step_size * cosine(1.0, 0.01, k, steps)
        change = gamma * cosine(1.0, 0.02, k, steps)

        def loss(v: Tensor) -> Tensor:
            return margin(logits_of(model, v), y, targeted=targeted)

        g = gradient(loss, points[-1])
        if is_adversarial(model, points[-1], y, targeted=targeted):
            found = True
            best = min(best, float(delta.norm(p=order)))
            epsilon = min(epsilon * (1 - change), best)
        elif found:
            epsilon = epsilon * (1 + change)
        else:
            least = epsilon * (1 + gamma) if math.isfinite(epsilon) else 0.0
            gap = abs(float(loss(points[-1]).detach())) / float(g.norm(p=dual))
            epsilon = max((float(delta.norm(p=order)) + gap) * (1 + change), least)
        delta = project(delta - alpha * g / g.norm(), epsilon, norm)
        points.append((x + delta).clamp(0, 1))
        delta = points[-1] - x
    return points
