"""APGD's ascent: projected gradient ascent with momentum that chooses its step sizes.

Croce, Hein: "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", ICML 2020, https://arxiv.org/abs/2003.01690. Line numbers are those of its
algorithm 1.
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm import geometry
from minnorm.attacks.engine.linear_model import likeliest_rivals
from minnorm.attacks.engine.search import Search
from minnorm.checks import check_choice, check_count
from minnorm.errors import InputError
from minnorm.geometry import per_sample
from minnorm.logits import (
    check_classes_of_ratio,
    targeted_logits_ratio,
    value_and_direction,
)

LossName: TypeAlias = Literal["cross-entropy", "dlr", "targeted-dlr"]
"""The losses that APGD maximizes."""

_Objective: TypeAlias = Callable[[Search, Tensor, Tensor], tuple[Tensor, Tensor]]
"""`(search, logits, targets) -> (values to maximize, their gradients in logit space)`."""


def check_ascent(
    steps: int, restarts: int, candidates: int, loss: str, norm: geometry.Norm, *, targeted: bool
) -> None:
    """Check the arguments that `apgd` and `apgd_min_norm` share.

    Raises:
        InputError: If one is not as `minnorm.attacks.apgd` describes.
    """
    check_count("steps", steps)
    check_count("restarts", restarts)
    check_count("candidates", candidates)
    geometry.check_ball(norm)
    check_choice("loss", loss, _OBJECTIVES)
    if loss == "targeted-dlr" and targeted:
        raise InputError(
            "loss='targeted-dlr' chooses its own targets: use loss='dlr' for a targeted attack."
        )


def _cross_entropy(search: Search, logits: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    return -search.goal.soft_margins(logits), search.goal.cross_entropy_direction(logits)


def _ratio(search: Search, logits: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    values, directions = search.goal.logits_ratios(logits)
    return -values, -directions


def _targeted_ratio(search: Search, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return value_and_direction(
        lambda variables: -targeted_logits_ratio(variables, search.goal.labels, targets), logits
    )


_OBJECTIVES: dict[str, _Objective] = {
    "cross-entropy": _cross_entropy,
    "dlr": _ratio,
    "targeted-dlr": _targeted_ratio,
}

_LEAST_CLASSES = {"cross-entropy": 2, "dlr": 3, "targeted-dlr": 4}


def maximize(
    search: Search,
    radii: Float[Tensor, "b"],
    *,
    steps: int,
    restarts: int,
    loss: LossName,
    candidates: int,
) -> None:
    """Search for adversarials within balls around the inputs.

    Args:
        search: The search; it keeps what is found.
        radii: The radii of the balls, in units.
        steps: The number of steps of each restart.
        restarts: The number of runs.
        loss: The loss to maximize.
        candidates: The number of target classes of `targeted-dlr`.

    Raises:
        InputError: If the model has too few classes for the loss.
    """
    logits = search.visit(search.problem.origins).logits
    check_classes_of_ratio(logits.shape[1], _LEAST_CLASSES[loss])
    rivals = likeliest_rivals(search, logits, candidates if loss == "targeted-dlr" else 1)
    for _ in range(restarts):
        for number in range(rivals.shape[1]):
            stay = search.drop_found()
            radii, rivals = radii[stay], rivals[stay]
            if len(stay) == 0:
                return
            part = search.part()
            _ascend(part, radii, rivals[:, number], steps=steps, objective=_OBJECTIVES[loss])
            search.absorb(part.result())


def _checkpoints(steps: int) -> Iterator[int]:
    """Yield the steps after which the step size is reconsidered (section 3.2)."""
    share, gap = 0.22, 0.22
    while (step := math.ceil(share * steps)) < steps:
        yield step
        gap = max(gap - 0.03, 0.06)
        share += gap


def _ascend(
    search: Search,
    radii: Float[Tensor, "b"],
    targets: Int64[Tensor, "b"],
    *,
    steps: int,
    objective: _Objective,
) -> None:
    previous = points = search.points_in_ball(radii)
    rates = 2 * radii  # line 1
    best_values = torch.full_like(radii, -torch.inf)
    best_points, best_gradients = points, torch.zeros_like(points)
    values = best_values
    rises = torch.zeros_like(radii)
    best_before, halved_before = best_values, torch.ones_like(radii, dtype=torch.bool)
    since, checkpoints = 0, set(_checkpoints(steps))
    for step in range(steps):
        search.report_progress(step / steps)
        visit = search.visit(points)
        new_values, directions = objective(search, visit.logits, targets)
        gradients = visit.pull_back(directions)
        new_values = new_values.nan_to_num(-torch.inf, torch.inf, -torch.inf)
        if step > 0:
            rises += new_values > values
        values = new_values
        better = values > best_values  # line 12
        best_values = torch.where(better, values, best_values)
        best_points = torch.where(per_sample(better, points), points, best_points)
        best_gradients = torch.where(per_sample(better, points), gradients, best_gradients)
        if step in checkpoints:  # lines 13 to 16
            seldom = rises < 0.75 * (step - since)
            stuck = ~halved_before & (best_values <= best_before)
            halve = seldom | stuck
            rates = torch.where(halve, rates / 2, rates)
            back = per_sample(halve, points)
            points = torch.where(back, best_points, points)
            gradients = torch.where(back, best_gradients, gradients)
            values = torch.where(halve, best_values, values)
            best_before, halved_before = best_values, halve
            rises, since = torch.zeros_like(rises), step
            stay = search.drop_found()
            if len(stay) == 0:
                return
            if len(stay) < len(radii):
                radii, rates, targets, values = (
                    part[stay] for part in (radii, rates, targets, values)
                )
                points, previous, gradients = points[stay], previous[stay], gradients[stay]
                best_points, best_gradients = best_points[stay], best_gradients[stay]
                best_values, best_before = best_values[stay], best_before[stay]
                rises, halved_before = rises[stay], halved_before[stay]
        problem = search.problem
        moves = geometry.steepest(gradients, search.noise(), problem.norm)
        here, before = problem.perturbations(points), problem.perturbations(previous)
        moves = moves * per_sample(rates, moves).to(moves.dtype)
        ahead = _inside(search, here + moves, radii)  # line 7
        if step > 0:  # line 8
            ahead = _inside(search, here + 0.75 * (ahead - here) + 0.25 * (here - before), radii)
        previous, points = points, problem.points(ahead)
    search.adversarial_at(points)


def _inside(
    search: Search, perturbations: Float[Tensor, "b *d"], radii: Float[Tensor, "b"]
) -> Float[Tensor, "b *d"]:
    """Project perturbations onto the ball, then make their points feasible."""
    problem = search.problem
    inside = geometry.project_onto_ball(perturbations, radii, problem.norm)
    return problem.perturbations(problem.points(inside))
