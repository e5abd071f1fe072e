"""FAB: the fast adaptive boundary attack.

Croce, Hein: "Minimally distorted Adversarial Examples with a Fast Adaptive Boundary Attack", ICML
2020, https://arxiv.org/abs/1907.02044; towards single classes (FAB-T), Croce, Hein: "Reliable
evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks", ICML 2020,
https://arxiv.org/abs/2003.01690.
"""

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks._deepfool import least_step, likeliest_rivals, nearest_boundary
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import Search, search
from minnorm.geometry import per_sample


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
    bounds: geometry.Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Finds adversarials of small norm by projections onto linear models of the boundary.

    Each step projects both the point and the input onto the nearest boundary of a linear model of
    the classifier, inside the box, and goes to a point between the two projections, a little
    beyond them; from an adversarial it goes back towards the input. A step costs a gradient for
    each candidate class and two forward passes.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        norm: `l2` or `linf`.
        steps: Steps of each restart.
        restarts: How often to begin; from the second on, at a random point (the same perturbation
            for all samples of the batch) up to half as far as the closest adversarial.
        candidates: How many classes to consider, the likeliest ones for the input besides the
            label.
        one_by_one: Aim at one candidate class after the other, with `steps` for each (FAB-T),
            instead of at the nearest of them; no use when `targeted`.
        overshoot: How far to go beyond the projections, as a share (eta - 1 of the paper).
        largest_share: Largest weight of the input's projection (alpha_max).
        backstep: Share of the perturbation that is kept when going back (beta).

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_count("steps", steps)
    checks.check_count("restarts", restarts)
    checks.check_count("candidates", candidates)
    checks.check_number("overshoot", overshoot, 0, inclusive=True)
    checks.check_number("largest_share", largest_share, 0, 1, inclusive=True)
    checks.check_number("backstep", backstep, 0, 1)
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
        visit = state.visit(state.origins)
        rivals = likeliest_rivals(state, visit.logits, candidates)
        groups = [rivals]
        if one_by_one and not targeted:
            groups = [rivals[:, [number]] for number in range(rivals.shape[1])]
        for restart in range(restarts):
            for group in groups:
                points = state.origins if restart == 0 else _random_start(state)
                for _ in range(steps):
                    points = _step(
                        state,
                        points,
                        group,
                        beyond=1 + overshoot,
                        largest_share=largest_share,
                    )
                    adversarial = per_sample(state.judge(points), points)
                    shrunk = state.points(backstep * state.perturbations(points))
                    points = torch.where(adversarial, shrunk, points)
        return state.result()


def _random_start(state: Search) -> Float[Tensor, "b *d"]:
    lengths = state.incumbent.distances / state.unit
    return state.points_in_ball(torch.where(lengths.isfinite(), lengths, 1.0) / 2)


def _step(
    state: Search,
    points: Float[Tensor, "b *d"],
    rivals: Int64[Tensor, "b k"],
    *,
    beyond: float,
    largest_share: float,
) -> Float[Tensor, "b *d"]:
    visit = state.visit(points)
    normals, gaps = nearest_boundary(state, visit, rivals)
    # What the linear model still lacks at the input.
    lacks = gaps + geometry.dot(normals, state.perturbations(points))
    # On the boundary the rounding of the points to their dtype would undo the step.
    least = least_step(state) * geometry.dual_norms(normals, state.norm)
    from_point = _onto_boundary(state, points, normals, gaps + torch.copysign(least, gaps))
    from_input = _onto_boundary(state, state.origins, normals, lacks)
    near = geometry.norms(from_point, state.norm)
    far = geometry.norms(from_input, state.norm)
    share = (near / (near + far).clamp_min(1e-12)).clamp_max(largest_share)
    share = per_sample(share, points).to(points.dtype)
    here = state.perturbations(points) + beyond * from_point
    ahead = state.points((1 - share) * here + share * beyond * from_input)
    # A sample whose gradient is beyond all numbers stays where it is.
    usable = geometry.norms(ahead, "linf").isfinite()
    return torch.where(per_sample(usable, points), ahead, points)


def _onto_boundary(
    state: Search,
    points: Float[Tensor, "b *d"],
    normals: Float[Tensor, "b *d"],
    rises: Float[Tensor, "b"],
) -> Float[Tensor, "b *d"]:
    """Gives the smallest step onto the boundary of the linear model, from either side of it."""
    backwards = per_sample(rises < 0, points)
    ascent = torch.where(backwards, -normals, normals)
    return state.to_halfspace(points, ascent, rises.abs())
