"""ALMA: the augmented Lagrangian method for adversarial attacks.

Rony, Granger, Pedersoli, Ben Ayed: "Augmented Lagrangian Adversarial Attacks", ICCV 2021,
https://arxiv.org/abs/2011.11857. Line numbers are those of its algorithm 1.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.search import Search, Visit
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number
from minnorm.geometry import per_sample

_EPSILON = 1e-8


@accepts_accelerated
def alma(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    steps: int = 1000,
    step_size: float = 0.1,
    initial_penalty: float = 1.0,
    check_steps: int = 10,
    improvement: float = 0.95,
    growth: float = 1.2,
    smoothing: float = 0.9,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of small L2 norm by a penalty that adapts to each sample.

    Descends `norm + P(ratio)` with RMSProp and momentum. The ratio of logits (see
    `minnorm.logits.logits_ratio`) is below 0 for adversarials, and P is the penalty P2. Its
    multiplier follows the slope of P, and its parameter grows as long as nothing is found and the
    ratio does not improve. Costs `steps` gradients and one more forward pass.

    With two classes the ratio is not defined. There the margin replaces it, divided by the input's
    own margin or, if that is small, by its change along a first step. In a targeted attack the
    divisor of the ratio counts as constant: otherwise the gradient would be zero where the target
    class has the third largest logit.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        steps: Number of steps N.
        step_size: Rate of the descent, in units of the width of the bounds; from the first
            adversarial on it falls exponentially to a hundredth.
        initial_penalty: First value of the multiplier and of the penalty parameter.
        check_steps: Steps M between two checks of whether the ratio improves.
        improvement: The ratio has improved if it has fallen below this factor tau.
        growth: Factor by which the penalty parameter grows.
        smoothing: The smoothing alpha of the multiplier and of RMSProp; also the momentum.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("steps", steps)
    check_count("check_steps", check_steps)
    check_number("step_size", step_size, 0)
    check_number("initial_penalty", initial_penalty, 0)
    check_number("improvement", improvement, 0)
    check_number("growth", growth, 1, inclusive=True)
    check_number("smoothing", smoothing, 0, 1)
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
        squares, momentum = torch.ones_like(points), torch.zeros_like(points)
        ones = torch.ones_like(search.incumbent.distances)
        multipliers, penalties = initial_penalty * ones, initial_penalty * ones
        found_at, last = torch.full_like(ones, steps + 1), ones
        scales: Tensor | None = None
        for step in range(steps):
            search.report_progress(step / steps)
            visit = search.visit(points)
            if scales is None:
                scales = _scales(search, visit, step_size)
            ratios, directions = _ratios(search, visit.logits, scales)
            ratios = ratios.to(ones.dtype)
            if step == 0:
                last = ratios
            elif (step + 1) % check_steps == 0:  # lines 8 to 11
                stalled = (ratios >= improvement * last) & (found_at > steps)
                penalties = torch.where(stalled, growth * penalties, penalties)
                last = ratios
            slopes = _penalty_slope(ratios, penalties, multipliers)
            if step > 0:  # line 7
                multipliers = torch.lerp(multipliers, slopes, 1 - smoothing).clamp(1e-6, 1e12)
                slopes = _penalty_slope(ratios, penalties, multipliers)
            first = visit.adversarial & (found_at > steps)
            found_at = torch.where(first, float(step), found_at)
            pulled = visit.pull_back(directions)
            # Beyond the boundary the ratio has no gradient where the label has the third largest
            # logit. No noise is needed there: only the norm has to fall.
            across = per_sample(visit.adversarial, points)
            finite = pulled.nan_to_num(0, 0, 0)
            gradients = torch.where(across, finite, search.with_directions(pulled))
            outwards = geometry.scale_to_norm(perturbations, ones)
            gradients = gradients * per_sample(slopes, points).to(points.dtype) + outwards
            squares.lerp_(gradients.square(), 1 - smoothing)
            momentum.mul_(smoothing).add_(gradients / (squares.sqrt() + _EPSILON))
            decay = 0.01 ** ((step - found_at).clamp_min(0) / (steps - found_at))
            rates = per_sample(step_size * decay, points).to(points.dtype)
            points = problem.points(perturbations - rates * momentum)
            perturbations = problem.perturbations(points)
        search.adversarial_at(points)
        return search.result()


def _scales(search: Search, visit: Visit, step_size: float) -> Float[Tensor, "b"]:
    """Return the divisor of the margins where the ratio is not defined."""
    margins = search.goal.margins(visit.logits).abs()
    if visit.logits.shape[1] > 2:
        return margins
    gradients = visit.pull_back(search.goal.margin_direction(visit.logits), again=True)
    return torch.maximum(margins, step_size * geometry.norms(gradients).nan_to_num(0, 0, 0))


def _ratios(
    search: Search, logits: Float[Tensor, "b c"], scales: Float[Tensor, "b"]
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b c"]]:
    """Return the margins relative to the scale of the logits, and their gradients.

    Positive before the boundary, negative beyond it; 1 for logits that hold a NaN.
    """
    if logits.shape[1] > 2:
        values, directions = search.goal.logits_ratios(logits)
    else:
        scale = scales.nan_to_num().clamp_min(torch.finfo(scales.dtype).tiny)
        values = search.goal.margins(logits) / scale
        directions = search.goal.margin_direction(logits) / scale.unsqueeze(1).to(logits.dtype)
    return values.nan_to_num(1.0, 1.0, -1.0), directions


def _penalty_slope(
    ratios: Float[Tensor, "b"], penalties: Float[Tensor, "b"], multipliers: Float[Tensor, "b"]
) -> Float[Tensor, "b"]:
    """Return the derivative of P2, which grows with the cube of the ratio above 0 (eq. 12)."""
    scaled = penalties * ratios
    above = multipliers * (1 + 2 * scaled) + scaled.square() / 2
    below = multipliers / (1 - scaled.clamp_max(0)).square()
    return torch.where(ratios >= 0, above, below)
