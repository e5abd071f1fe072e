"""Rays for the tests of normal pursuit."""

import torch
from torch import Tensor

from minnorm.attacks.engine.rays import Ray


def double(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def ray(directions: Tensor, lengths: list[float], *, whole: float = 1.0, left: float = 1.0) -> Ray:
    count = len(directions)
    return Ray(
        directions,
        torch.tensor(lengths, dtype=torch.float64),
        torch.full((count,), whole, dtype=torch.float64),
        torch.full((count,), left, dtype=torch.float64),
        torch.ones(count, dtype=torch.int64),
    )
