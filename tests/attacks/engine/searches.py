"""Searches on small classifiers, for the tests of the engine."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from attacks.networks import Curved, Linear, problem
from minnorm import boxes
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.search import Search


def linear(weights: Sequence[Sequence[float]], biases: Sequence[float]) -> Callable[..., Tensor]:
    """Return a linear classifier: the logits are `weights @ point + biases`."""

    def model(points: Tensor) -> Tensor:
        matrix = torch.tensor(weights, dtype=points.dtype)
        return points.flatten(1) @ matrix.T + torch.tensor(biases, dtype=points.dtype)

    return model


def threshold(points: Tensor) -> Tensor:
    """Return logits of two classes: the second one where the first entry is above 0.5."""
    rise = 2 * (boxes.rows(points)[:, 0] - 0.5)
    return torch.stack([torch.zeros_like(rise), rise], 1)


def problem_of(
    inputs: Tensor,
    labels: Tensor | None = None,
    *,
    targeted: bool = False,
    confidence: float = 0.0,
    **settings: Any,
) -> Problem:
    """Return a problem; by default all labels are 0, and the unit is the width of the bounds."""
    labels = torch.zeros(len(inputs), dtype=torch.int64) if labels is None else labels
    settings.setdefault("unit", boxes.spans(settings.get("bounds", (0.0, 1.0)), inputs))
    return Problem(inputs, Goal(labels, targeted, confidence), **settings)


def search_on(
    model: Callable[..., Tensor],
    inputs: Tensor,
    labels: Tensor | None = None,
    *,
    seed: int = 0,
    **settings: Any,
) -> Search:
    """Return a search; see `problem_of` for the settings."""
    return Search(problem_of(inputs, labels, **settings), model, seed)


def small_problem(
    *,
    batch: int = 8,
    features: int = 10,
    classes: int = 5,
    dtype: torch.dtype = torch.float64,
    curved: bool = True,
    seed: int = 0,
) -> tuple[Linear, Tensor, Tensor]:
    """Return a classifier whose parameters need no gradients, inputs, and their predictions."""
    model, inputs, labels = problem(
        (features,),
        batch=batch,
        classes=classes,
        dtype=dtype,
        network=Curved if curved else Linear,
        seed=seed,
    )
    model.requires_grad_(False)
    return model, inputs, labels


def column(*entries: float) -> Tensor:
    """Return samples of one entry each."""
    return torch.tensor(entries).unsqueeze(1)


def entries(values: Tensor) -> list[float]:
    """Return the entries of a tensor as a list."""
    return [float(one) for one in values.detach().flatten()]
