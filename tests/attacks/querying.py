"""Attacks without gradients, for tests of what runs them: random points, moved to the boundary."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from minnorm.access import Access
from minnorm.attacks import AttackResult, Model, needs
from minnorm.attacks.engine.bisection import bisect
from minnorm.attacks.engine.opening import open_search


def _draw_and_bisect(
    access: Access,
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    budget: int = 20,
    norm: Any = "l2",
    levels: int | None = None,
    **given: Any,
) -> AttackResult:
    with open_search(
        model, inputs, labels, norm=norm, levels=levels, access=access, **given
    ) as search:
        search.adversarial_at(search.problem.origins)
        for _ in range(budget // 2):
            drawn = torch.rand(inputs.shape[1:], generator=search.generator).to(inputs)
            search.adversarial_at(search.problem.feasible_(drawn.expand(inputs.shape).clone()))
        bisect(search, budget - budget // 2)
        return search.result()


@needs("decisions")
def by_decisions(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    targeted: bool = False,
    bounds: Any = (0.0, 1.0),
    generator: Any = None,
    budget: int = 20,
    norm: Any = "l2",
    levels: int | None = None,
) -> AttackResult:
    """Draw points for the whole batch, and bisect the lines to the closest adversarial ones."""
    run = partial(_draw_and_bisect, "decisions", model, inputs, labels)
    return run(
        targeted=targeted, bounds=bounds, generator=generator, budget=budget, norm=norm,
        levels=levels,
    )  # fmt: skip


@needs("scores")
def by_scores(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    targeted: bool = False,
    bounds: Any = (0.0, 1.0),
    generator: Any = None,
    budget: int = 20,
) -> AttackResult:
    """Do the same by scores."""
    run = partial(_draw_and_bisect, "scores", model, inputs, labels)
    return run(targeted=targeted, bounds=bounds, generator=generator, budget=budget)
