"""FAB: the fast adaptive boundary attack.

Croce, Hein: "Minimally distorted Adversarial Examples with a Fast Adaptive Boundary Attack", ICML
2020, https://arxiv.org/abs/1907.02044; towards single classes (FAB-T), Croce, Hein: "Reliable
evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks", ICML 2020,
https://arxiv.org/abs/2003.01690.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.linear_model import likeliest_rivals, nearest_boundary
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.search import Search
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_flag, check_number
from minnorm.geometry import per_sample


@accepts_accelerated
def fab(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    norm: geometry.Norm = "l2",
    steps: int = 100,
    restarts: int = 1,
    candidates: int = 9,
    one_by_one: bool = False,
    overshoot: float = 0.05,
    largest_share: float = 0.1,
    backstep: float = 0.9,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of small norm by projections onto linear models of the boundary.

    Each step projects both the point and the input onto the nearest boundary of a linear model of
    the classifier, inside the bounds. The next point is a little beyond a mix of the two
    projections; after an adversarial it moves back towards the input. A step costs a gradient for
    each candidate class and two forward passes.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        norm: `l2` or `linf`.
        steps: Number of steps of each restart.
        restarts: Number of runs. The first one begins at the input, each other one at a random
            point (the same perturbation for all samples of the batch) up to half as far away as
            the closest adversarial.
        candidates: Number of classes to consider besides the label: those with the largest logits
            at the input.
        one_by_one: Aim at one candidate class after the other, with `steps` for each (FAB-T),
            instead of at the nearest of them; without effect when `targeted`.
        overshoot: How far to go beyond the projections, as a share (eta - 1 of the paper).
        largest_share: Largest weight of the input's projection (alpha_max).
        backstep: Share of the perturbation that is kept when moving back (beta).

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("steps", steps)
    check_count("restarts", restarts)
    check_count("candidates", candidates)
    check_number("overshoot", overshoot, 0, inclusive=True)
    check_number("largest_share", largest_share, 0, 1, inclusive=True)
    check_number("backstep", backstep, 0, 1)
    check_flag("one_by_one", one_by_one)
    geometry.check_ball(norm)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        norm=norm,
        levels=levels,
    ) as search:
        problem = search.problem
        visit = search.visit(problem.origins)
        rivals = likeliest_rivals(search, visit.logits, candidates)
        groups = [rivals]
        if one_by_one and not targeted:
            groups = [rivals[:, [number]] for number in range(rivals.shape[1])]
        for restart in range(restarts):
            for group in groups:
                points = problem.origins if restart == 0 else _random_start(search)
                for _ in range(steps):
                    points = _step(
                        search, points, group, beyond=1 + overshoot, largest_share=largest_share
                    )
                    adversarial = per_sample(search.adversarial_at(points), points)
                    shrunk = problem.points(backstep * problem.perturbations(points))
                    points = torch.where(adversarial, shrunk, points)
        return search.result()


def _random_start(search: Search) -> Float[Tensor, "b *d"]:
    lengths = search.incumbent.distances / search.problem.unit
    return search.points_in_ball(torch.where(lengths.isfinite(), lengths, 1.0) / 2)


def _step(
    search: Search,
    points: Float[Tensor, "b *d"],
    rivals: Int64[Tensor, "b k"],
    *,
    beyond: float,
    largest_share: float,
) -> Float[Tensor, "b *d"]:
    problem = search.problem
    visit = search.visit(points)
    normals, gaps = nearest_boundary(search, visit, rivals)
    gaps_at_inputs = gaps + geometry.dot(normals, problem.perturbations(points))
    # On the boundary, rounding the points would undo a shorter step.
    least = problem.least_step() * geometry.dual_norms(normals, problem.norm)
    from_point = _onto_boundary(search, points, normals, gaps + torch.copysign(least, gaps))
    from_input = _onto_boundary(search, problem.origins, normals, gaps_at_inputs)
    near = geometry.norms(from_point, problem.norm)
    far = geometry.norms(from_input, problem.norm)
    share = (near / (near + far).clamp_min(1e-12)).clamp_max(largest_share)
    share = per_sample(share, points).to(points.dtype)
    here = problem.perturbations(points) + beyond * from_point
    ahead = problem.points((1 - share) * here + share * beyond * from_input)
    # A sample whose gradient overflows does not move.
    usable = geometry.norms(ahead, "linf").isfinite()
    return torch.where(per_sample(usable, points), ahead, points)


def _onto_boundary(
    search: Search,
    points: Float[Tensor, "b *d"],
    normals: Float[Tensor, "b *d"],
    rises: Float[Tensor, "b"],
) -> Float[Tensor, "b *d"]:
    """Return the smallest steps onto the boundary of the linear model, from either side of it."""
    backwards = per_sample(rises < 0, points)
    ascent = torch.where(backwards, -normals, normals)
    return search.problem.to_halfspace(points, ascent, rises.abs())
