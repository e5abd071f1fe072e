"""Algorithm 1 of the ALMA paper (L2, penalty P2), for one sample of three classes or more."""

import torch
from torch import Tensor

from reference.common import Classifier, gradient, is_adversarial, logits_of, margin


def alma_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, steps: int
) -> list[Tensor]:
    """Gives all points, from x on."""
    points, delta = [x], torch.zeros_like(x)
    square, momentum = torch.ones_like(x), torch.zeros_like(x)
    mu, rho = torch.tensor(1.0).to(x), 1.0
    found_at: int | None = None
    previous = 0.0

    def ratio(v: Tensor) -> Tensor:
        logits = logits_of(model, v)
        ordered = logits.sort(descending=True).values
        if targeted:  # the attack's own rule: else a third likeliest target has no gradient
            ordered = ordered.detach()
        return margin(logits, y, targeted=targeted) / (ordered[0] - ordered[2])

    def penalty(d: Tensor, weight: Tensor) -> Tensor:
        if d >= 0:
            return weight * d + weight * rho * d**2 + rho**2 * d**3 / 6
        return weight * d / (1 - rho * d)

    for i in range(steps):
        d = ratio(points[-1]).detach()
        if i == 0:
            previous = float(d)
        elif (i + 1) % 10 == 0:
            if found_at is None and float(d) >= 0.95 * previous:
                rho = 1.2 * rho
            previous = float(d)
        if i > 0:
            slope = gradient(lambda v, mu=mu: penalty(v, mu), d)  # type: ignore[misc]
            mu = (0.9 * mu + 0.1 * slope).clamp(1e-6, 1e12)
        if found_at is None and is_adversarial(model, points[-1], y, targeted=targeted):
            found_at = i
        g = gradient(lambda v, mu=mu: penalty(ratio(v), mu), points[-1])  # type: ignore[misc]
        if bool((delta != 0).any()):
            g = g + delta / delta.norm()
        square = 0.9 * square + 0.1 * g**2
        momentum = 0.9 * momentum + g / (square.sqrt() + 1e-8)
        decay = 1.0 if found_at is None else 0.01 ** ((i - found_at) / (steps - found_at))
        points.append((x + delta - 0.1 * decay * momentum).clamp(0, 1))
        delta = points[-1] - x
    return points
