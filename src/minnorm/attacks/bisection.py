"""Bisection towards the boundary, by forward passes."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.attacks.search import Search
from minnorm.geometry import per_sample


def bisect(state: Search, bisections: int, ends: Float[Tensor, "b *d"] | None = None) -> None:
    """Looks between each input and an adversarial for a closer one.

    Halves the part of the line from the input to the adversarial in which the boundary lies. The
    search keeps what it finds; samples without an adversarial, and those that were adversarial to
    begin with, stay as they are.

    Args:
        state: The search.
        bisections: How often to halve; each costs a forward pass. Less often, if what is left would
            be so little that the rounding of the logits decides.
        ends: The adversarials; by default the closest ones.
    """
    bisections = min(bisections, _most(state.origins.dtype))
    if bisections == 0:
        return
    origins = state.origins
    ends = state.incumbent.result().adversarials if ends is None else ends
    low, high = (
        torch.zeros_like(state.incumbent.distances),
        torch.ones_like(state.incumbent.distances),
    )
    for _ in range(bisections):
        middle = (low + high) / 2
        weights = per_sample(middle, origins).to(origins.dtype)
        adversarial = state.judge(torch.lerp(origins, ends, weights).clamp_(*state.bounds))
        low = torch.where(adversarial, low, middle)
        high = torch.where(adversarial, middle, high)


def _most(dtype: torch.dtype) -> int:
    """Gives the number of halvings after which 2,048 roundings are left."""
    eps = min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    return int(-math.log2(2048 * eps))
