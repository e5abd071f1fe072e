"""Algorithm 1 of the ALMA paper (L2, penalty P2), for one sample."""

import torch
from torch import Tensor

from reference.common import Classifier, gradient, is_adversarial, logits_of, margin


def alma_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, steps: int, step_size: float = 0.1,
    initial_penalty: float = 1.0, check_steps: int = 10, improvement: float = 0.95,
    growth: float = 1.2, smoothing: float = 0.9,
) -> list[Tensor]:  # fmt: skip
    """Return all points, from x on.

    With two classes there is no ratio. Then the attack divides the margin by that of x, or if that
    is smaller, by the change of the margin along a first step.
    """
    points, delta = [x], torch.zeros_like(x)
    square, momentum = torch.ones_like(x), torch.zeros_like(x)
    mu, rho = torch.tensor(initial_penalty).to(x), initial_penalty
    found_at: int | None = None
    previous = 0.0

    def margin_at(v: Tensor) -> Tensor:
        return margin(logits_of(model, v), y, targeted=targeted)

    slope_at_x = float(gradient(margin_at, x).norm())
    scale = max(abs(float(margin_at(x).detach())), step_size * slope_at_x)

    def ratio(v: Tensor) -> Tensor:
        ordered = logits_of(model, v).sort(descending=True).values
        if len(ordered) == 2:
            return margin_at(v) / scale
        if targeted:  # as in the attack: else a target with the third logit has no gradient
            ordered = ordered.detach()
        return margin_at(v) / (ordered[0] - ordered[2])

    def penalty(d: Tensor, weight: Tensor) -> Tensor:
        if d >= 0:
            return weight * d + weight * rho * d**2 + rho**2 * d**3 / 6
        return weight * d / (1 - rho * d)

    for i in range(steps):
        d = ratio(points[-1]).detach()
        if i == 0:
            previous = float(d)
        elif (i + 1) % check_steps == 0:
            if found_at is None and float(d) >= improvement * previous:
                rho = growth * rho
            previous = float(d)
        if i > 0:
            slope = gradient(lambda v, mu=mu: penalty(v, mu), d)  # type: ignore[misc]
            mu = (smoothing * mu + (1 - smoothing) * slope).clamp(1e-6, 1e12)
        if found_at is None and is_adversarial(model, points[-1], y, targeted=targeted):
            found_at = i
        g = gradient(lambda v, mu=mu: penalty(ratio(v), mu), points[-1])  # type: ignore[misc]
        if bool((delta != 0).any()):
            g = g + delta / delta.norm()
        square = smoothing * square + (1 - smoothing) * g**2
        momentum = smoothing * momentum + g / (square.sqrt() + 1e-8)
        decay = 1.0 if found_at is None else 0.01 ** ((i - found_at) / (steps - found_at))
        points.append((x + delta - step_size * decay * momentum).clamp(0, 1))
        delta = points[-1] - x
    return points
