"""Bisection towards the boundary, by forward passes."""

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
        bisections: How often to halve; each costs a forward pass.
        ends: The adversarials; by default the closest ones.
    """
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
