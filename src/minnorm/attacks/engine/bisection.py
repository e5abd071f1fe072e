"""Bisection towards the decision boundary, by forward passes."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.attacks.engine.search import Search
from minnorm.geometry import per_sample

_ROUNDINGS_LEFT = 2048
"""Bisection stops when the interval is this many rounding errors long: in a shorter one, rounding
decides the result."""


def bisect(search: Search, bisections: int, ends: Float[Tensor, "b *d"] | None = None) -> None:
    """Search the line between each input and an adversarial for a closer adversarial.

    Each bisection halves the part of the line that contains the boundary. The search keeps what it
    finds; samples without an adversarial, and those misclassified from the start, do not change.

    Args:
        search: The search.
        bisections: The number of bisections, each a forward pass; fewer where rounding would
            decide the last ones.
        ends: The adversarials; by default the closest ones.
    """
    problem = search.problem
    bisections = min(bisections, _most_bisections(problem.origins.dtype))
    if bisections == 0:
        return
    origins = problem.origins
    ends = search.incumbent.result().adversarials if ends is None else ends
    low = torch.zeros_like(search.incumbent.distances)
    high = torch.ones_like(low)
    for _ in range(bisections):
        middle = (low + high) / 2
        weights = per_sample(middle, origins).to(origins.dtype)
        points = problem.feasible_(torch.lerp(origins, ends, weights))
        adversarial = search.adversarial_at(points)
        low = torch.where(adversarial, low, middle)
        high = torch.where(adversarial, middle, high)


def _most_bisections(dtype: torch.dtype) -> int:
    eps = min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    return int(-math.log2(_ROUNDINGS_LEFT * eps))
