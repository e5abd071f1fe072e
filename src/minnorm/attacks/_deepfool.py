"""DeepFool: from one linear model of the classifier to the next.

Moosavi-Dezfooli, Fawzi, Frossard: "DeepFool: a simple and accurate method to fool deep neural
networks", CVPR 2016, https://arxiv.org/abs/1511.04599. Line numbers are those of its algorithm 2.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import LOOKS, Search, Visit, search
from minnorm.geometry import per_sample
from minnorm.losses import difference_direction, likeliest_others, logit_differences


def deepfool(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    norm: geometry.Norm = "l2",
    steps: int = 50,
    candidates: int = 9,
    overshoot: float = 0.02,
    bounds: geometry.Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Steps to the nearest boundary of a linear model of the classifier, until it is crossed.

    A sample leaves the batch once it is misclassified. Each step costs a gradient for each of the
    candidate classes, and one forward pass.

    The paper's method is untargeted. Targeted, each step goes to the boundary between the wanted
    class and the likeliest other one.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        norm: `l2` or `linf`.
        steps: Largest number of steps.
        candidates: How many classes to consider, the likeliest ones for the input besides the
            label.
        overshoot: How far each step goes beyond the boundary, as a share of its length. (The paper
            lengthens the whole perturbation at the end, its code does so after each step; this
            gives the smaller norms.)

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_count("steps", steps)
    checks.check_count("candidates", candidates)
    checks.check_number("overshoot", overshoot, 0, inclusive=True)
    geometry.check_ball(norm)
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        norm=norm,
    ) as state:
        cross(state, state.origins, steps=steps, candidates=candidates, overshoot=overshoot)
        return state.result()


def cross(
    state: Search, starts: Float[Tensor, "b *d"], *, steps: int, candidates: int, overshoot: float
) -> Float[Tensor, "b *d"]:
    """Steps from each start until a boundary is crossed (algorithm 2), and gives where it ended.

    The samples that are across leave the batch after some of the steps, see `LOOKS`.
    """
    reached = starts.clone()
    rows = torch.arange(len(starts), device=starts.device)
    points = starts
    rivals: Tensor | None = None
    for step in range(1, steps + 1):
        visit = state.visit(points)
        rivals = likeliest_rivals(state, visit.logits, candidates) if rivals is None else rivals
        if step in LOOKS:
            reached[rows] = points
            stay = state.keep_unfound()
            if len(stay) == 0:
                return reached
            if len(stay) < len(rows):
                rows, points, rivals = rows[stay], points[stay], rivals[stay]
                # One more forward pass costs less than the backward passes of those that are done.
                visit = state.visit(points)
        normals, gaps = nearest_boundary(state, visit, rivals)
        moves = boundary_step(state, normals, gaps)
        ahead = torch.add(points, moves, alpha=(1 + overshoot) * state.unit).clamp_(*state.bounds)
        points = torch.where(per_sample(visit.adversarial, points), points, ahead)  # 9 and 10
    state.judge(points)
    reached[rows] = points
    return reached


def likeliest_rivals(
    state: Search, logits: Float[Tensor, "b c"], candidates: int
) -> Int64[Tensor, "b k"]:
    """Gives the classes whose boundary with the label is looked at, the likeliest ones.

    Targeted, it is one column that is not used: there the rival is always the likeliest class.
    """
    if state.targeted:
        return state.labels.unsqueeze(1)
    return likeliest_others(logits, state.labels, candidates)


def nearest_boundary(
    state: Search, visit: Visit, rivals: Int64[Tensor, "b k"]
) -> tuple[Float[Tensor, "b *d"], Float[Tensor, "b"]]:
    """Finds the nearest of the boundaries in the linear model of the classifier (line 8).

    Returns:
        The gradients of rising towards that boundary, in units of the width of the bounds; and by
        how much is to be risen to be on it, negative beyond it. A gradient without a direction is
        noise.
    """
    nearest = torch.full_like(state.incumbent.distances, torch.inf)
    normals = torch.zeros_like(state.origins)
    gaps = torch.full_like(nearest, _BLIND_STEP)
    for directions, gap, last in _boundaries(state, visit.logits, rivals):
        gradients = visit.pull_back(directions, again=not last)
        slopes = geometry.dual_norms(gradients, state.norm)
        distance = torch.where(slopes.isfinite() & (slopes > 0), gap.abs() / slopes, torch.inf)
        nearer = distance < nearest
        nearest = torch.where(nearer, distance, nearest)
        gaps = torch.where(nearer, gap.to(gaps.dtype), gaps)
        normals = torch.where(per_sample(nearer, normals), gradients, normals)
    # Where there is no gradient the distance is unknown: a step of some length into the blue.
    return state.alive(normals), gaps


def _boundaries(
    state: Search, logits: Tensor, rivals: Tensor
) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Gives the direction in logit space, and the gap in logits, to each boundary."""
    if state.targeted:
        yield -state.margin_direction(logits), state.margins(logits), True
        return
    for number, rival in enumerate(rivals.unbind(1), start=1):
        directions = difference_direction(logits, rival, state.labels)
        gap = logit_differences(logits, state.labels, rival)
        yield directions, gap.nan_to_num(), number == rivals.shape[1]


def boundary_step(
    state: Search, normals: Float[Tensor, "b *d"], gaps: Float[Tensor, "b"]
) -> Float[Tensor, "b *d"]:
    """Gives the smallest step to the boundary of the linear model, a little beyond it (line 9)."""
    slopes = geometry.dual_norms(normals, state.norm)
    # Where the gap is 0 the sample is on the boundary, and would never leave it.
    lengths = gaps.clamp_min(0) / slopes + least_step(state).clamp_min(1e-4)
    directions = geometry.steepest(normals, state.noise(), state.norm)
    return directions * per_sample(lengths, directions).to(directions.dtype)


def least_step(state: Search) -> Float[Tensor, "b"]:
    """Gives the length of a step that the rounding of the points to their dtype does not undo."""
    gaps = geometry.rounding(state.origins, state.bounds) / (4 * state.unit)
    entries = math.prod(state.origins.shape[1:])
    return gaps * (math.sqrt(entries) if state.norm == "l2" else 1.0)


_BLIND_STEP = 0.1
