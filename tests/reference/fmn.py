"""Algorithm 1 of the FMN paper, for one sample."""

import math

from torch import Tensor

from reference.common import Classifier, cosine, gradient, is_adversarial, logits_of, margin


def fmn_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, norm: str, steps: int
) -> list[Tensor]:
    """Gives all points x_0 to x_K.

    The paper's radius before the first adversarial is on the boundary of the linear model; here it
    is beyond it by the factor gamma.
    """
    order = 2 if norm == "l2" else math.inf
    dual = 2 if norm == "l2" else 1
    points, delta, epsilon, best = [x], x * 0, math.inf, math.inf
    found = False
    for k in range(steps):
        alpha, gamma = cosine(1.0, 0.01, k, steps), cosine(0.05, 0.001, k, steps)
        loss = float(margin(logits_of(model, points[-1]), y, targeted=targeted).detach())
        g = gradient(lambda v: margin(logits_of(model, v), y, targeted=targeted), points[-1])
        if is_adversarial(model, points[-1], y, targeted=targeted):
            found = True
            best = min(best, float(delta.norm(p=order)))
            epsilon = min(epsilon * (1 - gamma), best)
        elif found:
            epsilon = epsilon * (1 + gamma)
        else:
            epsilon = float(delta.norm(p=order) + abs(loss) / g.norm(p=dual)) * (1 + gamma)
        delta = delta - alpha * g / g.norm()
        if norm == "linf":
            delta = delta.clamp(-epsilon, epsilon)
        elif delta.norm() > epsilon:
            delta = delta * epsilon / delta.norm()
        points.append((x + delta).clamp(0, 1))
        delta = points[-1] - x
    return points
