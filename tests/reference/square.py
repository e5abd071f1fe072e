"""Algorithms 1 to 3 of the Square paper, for one sample: an image `[c h w]`.

The random numbers of each step are given: two for the place of each window, one for the orientation
of the bumps, and one for the sign of each channel.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from reference.common import Classifier, logits_of, loss_of, margin


def share(step: int, steps: int, first: float) -> float:
    """Return the share of the image that a window covers: AutoAttack's, without 10 and 50."""
    at = math.floor(step / steps * 10_000 + 1e-9)
    halvings = 0
    for after in (200, 500, 1000, 2000, 4000, 6000, 8000):
        if at > after:
            halvings += 1
    return first * 0.5**halvings


def bump(height: int, width: int) -> Tensor:
    """Return the sum of ever larger squares around the center (eq. 2), of norm 1."""
    eta = torch.zeros(height, width, dtype=torch.float64)
    n = max(height // 2, width // 2)
    for k in range(n + 1):
        for r in range(height):
            for s in range(width):
                if max(abs(r - height // 2), abs(s - width // 2)) <= k:
                    eta[r, s] += 1 / (k + 1) ** 2
    scaled: Tensor = eta / eta.norm()
    return scaled


def two_bumps(side: int, draw: float) -> Tensor:
    """Return a bump above its opposite, or beside it, of norm 1."""
    half = side // 2
    eta = torch.cat([bump(half, side), -bump(side - half, side)])
    if draw >= 0.5:
        eta = eta.T
    scaled: Tensor = eta / eta.norm()
    return scaled


def corner(side: int, height: int, width: int, draws: Sequence[float]) -> tuple[int, int]:
    """Return the upper left corner of a window, any with the same probability."""
    return int(draws[0] * (height - side + 1)), int(draws[1] * (width - side + 1))


def sign(draw: float) -> float:
    """Return 1 or -1."""
    return 1.0 if draw < 0.5 else -1.0


def linf_start(x: Tensor, epsilon: float, draws: Sequence[float]) -> Tensor:
    """Return vertical stripes: the sign of each column and channel is random."""
    channels, height, width = x.shape
    delta = torch.zeros_like(x)
    for i in range(channels):
        for r in range(height):
            for s in range(width):
                delta[i, r, s] = epsilon * sign(draws[i * width + s])
    return (x + delta).clamp(0, 1)


def l2_start(x: Tensor, epsilon: float, draws: Sequence[float]) -> Tensor:
    """Return tiles of bumps: about five times five of them."""
    channels, height, _ = x.shape
    side = max(height // 5, 1)
    number = height // side
    first = (height - number * side) // 2
    delta, numbers = torch.zeros_like(x), iter(draws)
    for row in range(number):
        for column in range(number):
            draw = next(numbers)
            eta = torch.ones(1, 1).double() if side == 1 else two_bumps(side, draw)
            r, s = first + row * side, first + column * side
            for i in range(channels):
                delta[i, r : r + side, s : s + side] = sign(next(numbers)) * eta
    return filled(x, epsilon * delta / delta.norm(), epsilon)


def filled(x: Tensor, delta: Tensor, epsilon: float) -> Tensor:
    """Return the point inside the box; what clipping takes away is given back three times.

    This is not in the paper: it clips, and leaves a smaller norm.
    """
    for _ in range(3):
        delta = (x + delta).clamp(0, 1) - x
        delta = delta * epsilon / delta.norm()
    return (x + delta).clamp(0, 1)


def linf_step(x: Tensor, best: Tensor, epsilon: float, p: float, draws: Sequence[float]) -> Tensor:
    """Return the next candidate of algorithm 2."""
    channels, height, width = x.shape
    side = min(max(round(math.sqrt(p * height * width)), 1), height, width)
    r, s = corner(side, height, width, draws[:2])
    for flip in (1, -1):  # the paper does not flip the signs of a window that has them already
        delta = torch.zeros_like(x)
        for i in range(channels):
            delta[i, r : r + side, s : s + side] = 2 * epsilon * flip * sign(draws[5 + i])
        candidate = (x + (best + delta - x).clamp(-epsilon, epsilon)).clamp(0, 1)
        if not torch.allclose(candidate, best, rtol=0, atol=1e-3 * epsilon):
            break
    return candidate


def l2_step(x: Tensor, best: Tensor, epsilon: float, p: float, draws: Sequence[float]) -> Tensor:
    """Return the next candidate of algorithm 3."""
    channels, height, width = x.shape
    side = max(round(math.sqrt(p * height * width)), 3)
    side = min(side + 1 if side % 2 == 0 else side, height, width)
    nu = best - x
    unused = max(epsilon**2 - float(nu.norm()) ** 2, 0.0)  # line 2
    eta = two_bumps(side, draws[4])
    r1, s1 = corner(side, height, width, draws[0:2])
    r2, s2 = corner(side, height, width, draws[2:4])
    moved = nu.clone()
    for i in range(channels):
        inside = [
            float(nu[i, r, s]) ** 2
            for r in range(height)
            for s in range(width)
            if (r1 <= r < r1 + side and s1 <= s < s1 + side)
            or (r2 <= r < r2 + side and s2 <= s < s2 + side)
        ]
        window = nu[i, r1 : r1 + side, s1 : s1 + side]
        length = float(window.norm())
        mixed = sign(draws[5 + i]) * eta  # line 8
        mixed = mixed + window / length if length > 1e-5 * epsilon else mixed
        mixed = mixed if mixed.norm() > 1e-3 else sign(draws[5 + i]) * eta
        available = math.sqrt(sum(inside) + unused / channels)  # line 9
        moved[i, r2 : r2 + side, s2 : s2 + side] = 0  # line 10
        moved[i, r1 : r1 + side, s1 : s1 + side] = mixed / mixed.norm() * available
    return filled(x, moved, epsilon)


def square_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, norm: str, epsilon: float,
    first_share: float, loss: str, start_draws: Sequence[float],
    draws: Sequence[Sequence[float]],
) -> list[Tensor]:  # fmt: skip
    """Return the points that are evaluated after the input, as if none were adversarial."""

    def value(point: Tensor) -> float:
        if loss == "margin":
            return float(margin(logits_of(model, point), y, targeted=targeted).detach())
        entropy = float(loss_of(model, point, y).detach())
        return entropy if targeted else -entropy

    start: Callable[..., Tensor] = linf_start if norm == "linf" else l2_start
    change: Callable[..., Tensor] = linf_step if norm == "linf" else l2_step
    best = start(x, epsilon, start_draws)
    least, points = value(best), [best]
    for step, numbers in enumerate(draws):
        p = share(step, len(draws), first_share)
        candidate = change(x, best, epsilon, p, numbers)
        points.append(candidate)
        new = value(candidate)
        if new <= least:  # the paper: less
            best, least = candidate, new
    return points
