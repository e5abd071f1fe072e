"""Training objectives: `(model, inputs, labels) -> scalar loss`, one a file."""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor, nn

from minnorm.training.objectives._clean import clean

Objective: TypeAlias = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""`(model, inputs [b *d], labels [b]) -> scalar loss`; the model is in training mode."""

OBJECTIVES: dict[str, Objective] = {"clean": clean}
"""The objectives by the name that a recipe calls them."""

__all__ = ["OBJECTIVES", "Objective", "clean"]
