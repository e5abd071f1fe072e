"""FMN: the fast minimum-norm attack.

Pintor, Roli, Brendel, Biggio: "Fast Minimum-norm Adversarial Attacks through Adaptive Norm
Constraints", NeurIPS 2021, https://arxiv.org/abs/2102.12827. Line numbers are those of its
algorithm 1.
"""

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry, schedules
from minnorm.attacks import checks
from minnorm.attacks._deepfool import least_step
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import search


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
    bounds: geometry.Bounds = (0.0, 1.0),
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Finds adversarials of small norm: DDN's scheme with the margin in place of the cross-entropy.

    Until the first adversarial is found, the radius is where a linear model of the margin puts the
    boundary, and `gamma` beyond (the paper's is on it, where linear classifiers do not cross), and
    grows by `1 + gamma` at least (the paper's stalls where much is clipped at the bounds); from
    then on it shrinks by `1 - gamma` or grows by `1 + gamma`, with `gamma` annealed.
    The perturbation is projected into the ball, not onto the sphere. Costs `steps` gradients and
    one more forward pass; with `starts` another one, for the inputs.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        norm: `l2` or `linf`.
        steps: Number of steps K.
        step_size: L2 length of the first step, in units of the width of the bounds; annealed by a
            cosine to a hundredth.
        gamma: Factor by which the radius changes at first; annealed by a cosine to a fiftieth (the
            paper's 0.05 to 0.001).
        starts: Points from which to start.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_count("steps", steps)
    checks.check_number("step_size", step_size, 0)
    checks.check_number("gamma", gamma, 0, 1)
    geometry.check_ball(norm)
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        norm=norm,
        starts=starts,
    ) as state:
        points = state.begin(starts)
        perturbations = state.perturbations(points)
        radii = torch.full_like(state.incumbent.distances, torch.inf)
        first = least_step(state).clamp_min(1e-4)
        found = torch.zeros_like(radii, dtype=torch.bool)
        rates = schedules.cosine(step_size, 0.01 * step_size, steps)
        changes = schedules.cosine(gamma, 0.02 * gamma, steps)
        for step, (rate, change) in enumerate(zip(rates, changes, strict=True)):
            if state.progress(step / steps):
                found.zero_()
            visit = state.visit(points)
            gradients = visit.pull_back(state.margin_direction(visit.logits))
            found |= visit.adversarial
            margins, slopes = state.margins(visit.logits), geometry.dual_norms(gradients, norm)
            boundary = geometry.norms(perturbations, norm) + margins.abs() / slopes  # line 6
            # A little beyond: with a linear classifier it would stay on the boundary for ever.
            boundary = boundary.nan_to_num(nan=torch.inf) * (1 + change)
            # Where clipping takes much away the estimate would stall before the boundary.
            # And where two classes tie it would be 0, for ever.
            least = torch.where(radii.isfinite(), radii * (1 + gamma), first)
            boundary = torch.maximum(boundary, least)
            grown = torch.where(found, radii * (1 + change), boundary)  # lines 7 and 8
            closest = state.incumbent.distances / state.unit
            shrunk = torch.minimum(radii * (1 - change), closest)  # line 10
            radii = torch.where(visit.adversarial, shrunk, grown)
            directions = geometry.unit(gradients, fallback=state.noise())
            perturbations.add_(directions, alpha=-rate)  # line 11
            points = state.points(geometry.into_ball(perturbations, radii, norm))  # 12 and 13
            perturbations = state.perturbations(points)
        state.judge(points)
        return state.result()
