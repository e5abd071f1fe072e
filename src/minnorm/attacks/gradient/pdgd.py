"""PDGD: the primal-dual gradient descent attack.

Matyasko, Chau: "PDPGD: Primal-Dual Proximal Gradient Descent Adversarial Attack", 2021,
https://arxiv.org/abs/2106.01538; its L2 form, which needs no proximal step.
"""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.adam import Adam
from minnorm.attacks.engine.opening import open_search
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number
from minnorm.geometry import per_sample
from minnorm.logits import unusual_scales

_LARGEST_LOG_ODDS = -math.log(1e-6)


@accepts_accelerated
def pdgd(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    steps: int = 500,
    step_size: float = 0.1,
    dual_step_size: float = 0.1,
    initial_ratio: float = 0.01,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of small L2 norm as a saddle point of the Lagrangian.

    Descends `(1 - w) * norm + w * softplus(margin)` in the perturbation with Adam, and ascends it
    in the weight `w`. The weight is a logistic function of the dual variable, which rises by a step
    while the point is not adversarial and falls while it is; the weight is averaged over time.
    Costs `steps` gradients and one more forward pass.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        steps: Number of steps.
        step_size: Adam's step, in units of the width of the bounds; falls exponentially to a
            hundredth.
        dual_step_size: Step of the dual variable; falls linearly to a tenth.
        initial_ratio: Initial weight of the norm relative to the weight of the margin.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("steps", steps)
    check_number("step_size", step_size, 0)
    check_number("dual_step_size", dual_step_size, 0)
    check_number("initial_ratio", initial_ratio, 0)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        levels=levels,
    ) as search:
        problem = search.problem
        points, perturbations = problem.origins, torch.zeros_like(problem.origins)
        adam = Adam(problem.origins)
        # The log-odds of the weight w: the difference of the paper's two dual variables.
        log_odds = torch.full_like(search.incumbent.distances, -math.log(initial_ratio))
        weights = log_odds.sigmoid()
        scales: Tensor | None = None
        for step in range(steps):
            search.report_progress(step / steps)
            visit = search.visit(points)
            scales = unusual_scales(visit.logits) if scales is None else scales
            margins = search.goal.margins(visit.logits) / scales
            directions = search.goal.margin_direction(visit.logits) / scales.unsqueeze(1)
            pulled = visit.pull_back(directions)
            gradients = search.with_directions(pulled)
            outwards = geometry.scale_to_norm(perturbations, torch.ones_like(weights))
            # The derivative of softplus is the logistic function.
            margin_weight = per_sample(weights * margins.sigmoid(), points).to(points.dtype)
            norm_weight = per_sample(1 - weights, points).to(points.dtype)
            gradients = margin_weight * gradients + norm_weight * outwards
            rate = step_size * 0.01 ** (step / steps)
            points = problem.points(perturbations - rate * adam.step(gradients))
            perturbations = problem.perturbations(points)
            left = 1 - step / max(steps - 1, 1)
            dual_rate = dual_step_size * (0.1 + 0.9 * left)
            log_odds = log_odds + torch.where(visit.adversarial, -dual_rate, dual_rate).to(log_odds)
            log_odds = log_odds.clamp(-_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
            weights = torch.lerp(weights, log_odds.sigmoid(), 0.1)
        search.adversarial_at(points)
        return search.result()
