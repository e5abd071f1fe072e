"""The linear model of the classifier at a point, and the nearest boundary in it.

Moosavi-Dezfooli, Fawzi, Frossard: "DeepFool: a simple and accurate method to fool deep neural
networks", CVPR 2016, https://arxiv.org/abs/1511.04599. Line numbers are those of its algorithm 2.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm import geometry
from minnorm.attacks.engine.search import DROP_STEPS, Search, Visit
from minnorm.geometry import per_sample
from minnorm.logits import difference_direction, likeliest_others, logit_differences

_BLIND_STEP = 0.1
"""The assumed distance, in units, of a boundary where there is no gradient."""

_LEAST_STEP = 1e-4
"""The shortest step, in units."""


def likeliest_rivals(
    search: Search, logits: Float[Tensor, "b c"], candidates: int
) -> Int64[Tensor, "b k"]:
    """Return the classes whose boundaries are considered: those with the largest logits.

    In a targeted attack, return one column that is not used: its rival is always the class with the
    largest logit.
    """
    if search.goal.targeted:
        return search.goal.labels.unsqueeze(1)
    return likeliest_others(logits, search.goal.labels, candidates)


def nearest_boundary(
    search: Search, visit: Visit, rivals: Int64[Tensor, "b k"]
) -> tuple[Float[Tensor, "b *d"], Float[Tensor, "b"]]:
    """Find the nearest boundary in the linear model of the classifier (line 8).

    Args:
        search: The search.
        visit: The model's output at the points.
        rivals: The classes considered.

    Returns:
        The gradients of the linear function that rises towards that boundary, in units, noise where
        there is no gradient; and by how much it must rise to be on the boundary, negative beyond.
    """
    nearest = torch.full_like(search.incumbent.distances, torch.inf)
    normals = torch.zeros_like(search.problem.origins)
    gaps = torch.full_like(nearest, _BLIND_STEP)
    for directions, gap, last in _boundaries(search, visit.logits, rivals):
        gradients = visit.pull_back(directions, again=not last)
        slopes = geometry.dual_norms(gradients, search.problem.norm)
        distance = torch.where(slopes.isfinite() & (slopes > 0), gap.abs() / slopes, torch.inf)
        nearer = distance < nearest
        nearest = torch.where(nearer, distance, nearest)
        gaps = torch.where(nearer, gap.to(gaps.dtype), gaps)
        normals = torch.where(per_sample(nearer, normals), gradients, normals)
    return search.with_directions(normals), gaps


def _boundaries(
    search: Search, logits: Tensor, rivals: Tensor
) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Yield direction in logit space and gap of each boundary, and whether it is the last."""
    goal = search.goal
    if goal.targeted:
        yield -goal.margin_direction(logits), goal.margins(logits), True
        return
    for number, rival in enumerate(rivals.unbind(1), start=1):
        directions = difference_direction(logits, rival, goal.labels)
        gap = logit_differences(logits, goal.labels, rival)
        yield directions, gap.nan_to_num(), number == rivals.shape[1]


def shortest_step(search: Search) -> Float[Tensor, "b"]:
    """Return the length, in units, of the shortest step worth taking."""
    return search.problem.least_step().clamp_min(_LEAST_STEP)


def boundary_step(
    search: Search, normals: Float[Tensor, "b *d"], gaps: Float[Tensor, "b"]
) -> Float[Tensor, "b *d"]:
    """Return the smallest step, in units, to the boundary of the linear model (line 9).

    It ends a little beyond the boundary: a sample on the boundary, with a gap of 0, must leave it.
    """
    norm = search.problem.norm
    lengths = gaps.clamp_min(0) / geometry.dual_norms(normals, norm) + shortest_step(search)
    directions = geometry.steepest(normals, search.noise(), norm)
    return directions * per_sample(lengths, directions).to(directions.dtype)


def cross_boundary(
    search: Search, starts: Float[Tensor, "b *d"], *, steps: int, candidates: int, overshoot: float
) -> Float[Tensor, "b *d"]:
    """Step from each start until a boundary is crossed (algorithm 2).

    Samples that have crossed leave the search after some of the steps, see `DROP_STEPS`.

    Args:
        search: The search.
        starts: Where to begin.
        steps: The largest number of steps.
        candidates: The number of classes considered.
        overshoot: How far each step goes beyond the boundary, as a share of its length.

    Returns:
        The last points.
    """
    reached = starts.clone()
    rows = torch.arange(len(starts), device=starts.device)
    points = starts
    rivals: Tensor | None = None
    for step in range(1, steps + 1):
        visit = search.visit(points)
        rivals = likeliest_rivals(search, visit.logits, candidates) if rivals is None else rivals
        if step in DROP_STEPS:
            reached[rows] = points
            stay = search.drop_found()
            if len(stay) == 0:
                return reached
            if len(stay) < len(rows):
                rows, points, rivals = rows[stay], points[stay], rivals[stay]
                # One more forward pass costs less than the backward passes of the finished samples.
                visit = search.visit(points)
        normals, gaps = nearest_boundary(search, visit, rivals)
        moves = boundary_step(search, normals, gaps)
        ahead = search.problem.moved(points, moves, 1 + overshoot)
        ahead = search.problem.feasible_(ahead)
        points = torch.where(per_sample(visit.adversarial, points), points, ahead)  # 9 and 10
    search.adversarial_at(points)
    reached[rows] = points
    return reached
