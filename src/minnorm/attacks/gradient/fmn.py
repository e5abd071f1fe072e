"""FMN: the fast minimum-norm attack.

Pintor, Roli, Brendel, Biggio: "Fast Minimum-norm Adversarial Attacks through Adaptive Norm
Constraints", NeurIPS 2021, https://arxiv.org/abs/2102.12827. Line numbers are those of its
algorithm 1.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import geometry, schedules
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.linear_model import shortest_step
from minnorm.attacks.engine.opening import open_search
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number


@accepts_accelerated
def fmn(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    norm: geometry.Norm = "l2",
    steps: int = 100,
    step_size: float = 1.0,
    gamma: float = 0.05,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of small norm: the scheme of DDN with the margin as the loss.

    Until the first adversarial is found, the radius is the distance of the boundary in a linear
    model of the margin, increased by `gamma`: with the paper's radius, which ends on the boundary,
    no point would cross the boundary of a linear classifier. The radius grows by at least
    `1 + gamma`, since the paper's stops growing if the bounds clip many entries. After the first
    adversarial it shrinks by `1 - gamma` or grows by `1 + gamma`, with `gamma` annealed. The
    perturbation is projected onto the ball, not onto the sphere.

    Costs `steps` gradients and one more forward pass; with `starts` another one for the inputs.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        norm: `l2` or `linf`.
        steps: Number of steps K.
        step_size: L2 length of the first step, in units of the width of the bounds; annealed by a
            cosine to a hundredth.
        gamma: Factor by which the radius changes at first; annealed by a cosine to a fiftieth (the
            paper's 0.05 to 0.001).
        starts: Points where the attack begins.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("steps", steps)
    check_number("step_size", step_size, 0)
    check_number("gamma", gamma, 0, 1)
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
        starts=starts,
        levels=levels,
    ) as search:
        problem = search.problem
        points = search.first_points(starts)
        perturbations = problem.perturbations(points)
        radii = torch.full_like(search.incumbent.distances, torch.inf)
        first = shortest_step(search)
        found = torch.zeros_like(radii, dtype=torch.bool)
        rates = schedules.cosine(step_size, 0.01 * step_size, steps)
        changes = schedules.cosine(gamma, 0.02 * gamma, steps)
        for step, (rate, change) in enumerate(zip(rates, changes, strict=True)):
            if search.report_progress(step / steps):
                found.zero_()
            visit = search.visit(points)
            gradients = visit.pull_back(search.goal.margin_direction(visit.logits))
            found |= visit.adversarial
            margins = search.goal.margins(visit.logits)
            slopes = geometry.dual_norms(gradients, norm)
            boundary = geometry.norms(perturbations, norm) + margins.abs() / slopes  # line 6
            boundary = boundary.nan_to_num(nan=torch.inf) * (1 + change)
            # Where two classes tie the estimate is 0.
            least = torch.where(radii.isfinite(), radii * (1 + gamma), first)
            boundary = torch.maximum(boundary, least)
            grown = torch.where(found, radii * (1 + change), boundary)  # lines 7 and 8
            closest = search.incumbent.distances / problem.unit
            shrunk = torch.minimum(radii * (1 - change), closest)  # line 10
            radii = torch.where(visit.adversarial, shrunk, grown)
            directions = geometry.unit(gradients, fallback=search.noise())
            perturbations.add_(directions, alpha=-rate)  # line 11
            inside = geometry.project_onto_ball(perturbations, radii, norm)  # line 12
            points = problem.points(inside)  # line 13
            perturbations = problem.perturbations(points)
        search.adversarial_at(points)
        return search.result()
