"""ALMA: the augmented Lagrangian method for adversarial attacks.

Rony, Granger, Pedersoli, Ben Ayed: "Augmented Lagrangian Adversarial Attacks", ICCV 2021,
https://arxiv.org/abs/2011.11857. Line numbers are those of its algorithm 1.
"""

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import Search, Visit, search
from minnorm.geometry import per_sample


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
    bounds: geometry.Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Finds adversarials of small L2 norm by a penalty that adapts to each sample.

    Descends `norm + P(ratio)` with RMSProp and momentum, where the ratio of logits (`logits_ratio`)
    is below 0 for adversarials and P is the penalty P2, whose multiplier follows the slope of P and
    whose parameter grows as long as nothing is found and the ratio does not improve. Costs `steps`
    gradients and one more forward pass.

    With two classes the ratio is not defined; there the margin in units of the input's own margin
    stands for it, or, where that is small, in units of what it changes by along a first step.
    Targeted, the ratio's denominator counts as constant: where the wanted class is the third
    likeliest it is the numerator too, and the gradient would be zero.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        steps: Number of steps N.
        step_size: Rate of the descent, in units of the width of the bounds; from the first
            adversarial on it falls exponentially to a hundredth.
        initial_penalty: First value of multiplier and penalty parameter.
        check_steps: Steps M between two looks at whether the ratio improves.
        improvement: Factor tau below which the ratio must have fallen to count as improved.
        growth: Factor by which the penalty parameter grows.
        smoothing: Of the multiplier and of RMSProp, alpha; also the momentum.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_count("steps", steps)
    checks.check_count("check_steps", check_steps)
    checks.check_number("step_size", step_size, 0)
    checks.check_number("initial_penalty", initial_penalty, 0)
    checks.check_number("improvement", improvement, 0)
    checks.check_number("growth", growth, 1, inclusive=True)
    checks.check_number("smoothing", smoothing, 0, 1)
    with search(
        model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator
    ) as state:
        points, perturbations = state.origins, torch.zeros_like(state.origins)
        squares, momentum = torch.ones_like(points), torch.zeros_like(points)
        ones = torch.ones_like(state.incumbent.distances)
        multipliers, penalties = initial_penalty * ones, initial_penalty * ones
        found_at, last = torch.full_like(ones, steps + 1), ones
        scales: Tensor | None = None
        for step in range(steps):
            state.progress(step / steps)
            visit = state.visit(points)
            if scales is None:
                scales = _scales(state, visit, step_size)
            ratios, directions = _ratios(state, visit.logits, scales)
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
            # Beyond the boundary the ratio has no gradient where the label is the third likeliest
            # class. That is as it should be: there only the norm has to fall.
            across = per_sample(visit.adversarial, points)
            gradients = torch.where(across, pulled.nan_to_num(0, 0, 0), state.alive(pulled))
            outwards = geometry.on_sphere(perturbations, ones)
            gradients = gradients * per_sample(slopes, points).to(points.dtype) + outwards
            squares.lerp_(gradients.square(), 1 - smoothing)
            momentum.mul_(smoothing).add_(gradients / (squares.sqrt() + _EPSILON))
            decay = 0.01 ** ((step - found_at).clamp_min(0) / (steps - found_at))
            rates = per_sample(step_size * decay, points).to(points.dtype)
            points = state.points(perturbations - rates * momentum)
            perturbations = state.perturbations(points)
        state.judge(points)
        return state.result()


_EPSILON = 1e-8


def _scales(state: Search, visit: Visit, step_size: float) -> Float[Tensor, "b"]:
    """Gives the unit of the margins where the ratio is not defined."""
    margins = state.margins(visit.logits).abs()
    if visit.logits.shape[1] > 2:
        return margins
    gradients = visit.pull_back(state.margin_direction(visit.logits), again=True)
    return torch.maximum(margins, step_size * geometry.norms(gradients).nan_to_num(0, 0, 0))


def _ratios(
    state: Search, logits: Float[Tensor, "b c"], scales: Float[Tensor, "b"]
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b c"]]:
    """Gives how far the logits are from adversarial, unchanged by scaling them; and its gradient.

    Above 0 before, below 0 beyond; 1 where the logits hold a NaN.
    """
    if logits.shape[1] > 2:
        values, directions = state.logits_ratios(logits)
    else:
        scale = scales.nan_to_num().clamp_min(_EPSILON)
        values = state.margins(logits) / scale
        directions = state.margin_direction(logits) / scale.unsqueeze(1).to(logits.dtype)
    return values.nan_to_num(1.0, 1.0, -1.0), directions


def _penalty_slope(
    ratios: Float[Tensor, "b"], penalties: Float[Tensor, "b"], multipliers: Float[Tensor, "b"]
) -> Float[Tensor, "b"]:
    """Gives the derivative of P2, which grows with the cube of the ratio above 0 (eq. 12)."""
    scaled = penalties * ratios
    above = multipliers * (1 + 2 * scaled) + scaled.square() / 2
    below = multipliers / (1 - scaled.clamp_max(0)).square()
    return torch.where(ratios >= 0, above, below)
