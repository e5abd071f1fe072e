"""Algorithms 1 and 2 of the HopSkipJump paper, for one sample.

All random numbers are given: the uniform draws for the first point, and the directions of the
probes, in order.
"""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from reference.common import Classifier, is_adversarial


class Visits:
    """The points that are evaluated, until the queries are used up."""

    def __init__(self, model: Classifier, y: int, *, targeted: bool, queries: int) -> None:
        self._model, self._y, self._targeted, self._queries = model, y, targeted, queries
        self.points: list[Tensor] = []

    def phi(self, point: Tensor) -> int:
        """Return 1 for an adversarial point, -1 for any other."""
        if len(self.points) == self._queries:
            raise StopIteration
        self.points.append(point)
        return 1 if is_adversarial(self._model, point, self._y, targeted=self._targeted) else -1


def bin_search(visits: Visits, x: Tensor, adversarial: Tensor, theta: float, norm: str) -> Tensor:
    """Return a point near the boundary (algorithm 1)."""
    low, high = 0.0, 1.0
    if norm == "linf":
        high = float((adversarial - x).abs().max())
        theta = min(theta, theta * high)
    found = adversarial
    while high - low > theta * (1 + 1e-6):  # they may be equal but for rounding
        middle = (low + high) / 2
        if norm == "l2":
            point = middle * adversarial + (1 - middle) * x
        else:
            point = x + (adversarial - x).clamp(-middle, middle)
        if visits.phi(point) == 1:
            high, found = middle, point
        else:
            low = middle
    return found


def gradient_direction(
    visits: Visits, point: Tensor, delta: float, directions: Iterator[Tensor], number: int
) -> Tensor:
    """Return the estimate of the gradient of the decision (eq. 16)."""
    answers, moved = [], []
    for _ in range(number):
        probe = (point + delta * next(directions)).clamp(0, 1)
        answers.append(visits.phi(probe))
        moved.append((probe - point) / delta)
    mean = sum(answers) / number
    if abs(mean) == 1:
        mean = 0.0
    return sum(
        ((answer - mean) * u for answer, u in zip(answers, moved, strict=True)),
        start=torch.zeros_like(point),
    )


def hop_skip_jump_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, norm: str, queries: int,
    initial_probes: int, draws: Iterator[Tensor], directions: Iterator[Tensor],
) -> list[Tensor]:  # fmt: skip
    """Return the points that algorithm 2 evaluates, from the input on."""
    visits = Visits(model, y, targeted=targeted, queries=queries)
    with contextlib.suppress(StopIteration):
        _iterate(visits, x, norm, initial_probes, draws=draws, directions=directions)
    return visits.points


def _iterate(
    visits: Visits, x: Tensor, norm: str, initial_probes: int, *, draws: Iterator[Tensor],
    directions: Iterator[Tensor],
) -> None:  # fmt: skip
    d = x.numel()
    theta = d**-1.5 if norm == "l2" else float(d) ** -2
    order = 2 if norm == "l2" else float("inf")
    if visits.phi(x) == 1:
        return
    current = next(draws)
    while visits.phi(current) == -1:
        current = next(draws)
    current = bin_search(visits, x, current, theta, norm)
    t = 0
    while True:
        t += 1
        distance = float((current - x).norm(p=order))
        delta = 0.1 if t == 1 else distance / d
        number = int(initial_probes * math.sqrt(t))
        v = gradient_direction(visits, current, delta, directions, number)
        v = v / v.norm() if norm == "l2" else v.sign()
        xi = distance / math.sqrt(t)
        while visits.phi((current + xi * v).clamp(0, 1)) == -1:
            xi /= 2
        current = bin_search(visits, x, (current + xi * v).clamp(0, 1), theta, norm)
