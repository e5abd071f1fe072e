"""PDGD: the primal-dual gradient descent attack.

Matyasko, Chau: "PDPGD: Primal-Dual Proximal Gradient Descent Adversarial Attack", 2021,
https://arxiv.org/abs/2106.01538; its L2 form, in which no proximal step is needed.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.optimizers import Adam
from minnorm.attacks.search import search
from minnorm.geometry import per_sample


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
    bounds: geometry.Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Finds adversarials of small L2 norm as a saddle point of the Lagrangian.

    Descends `(1 - w) * norm + w * softplus(margin)` in the perturbation with Adam, and ascends it
    in the weight `w`, a logistic function of the dual variable, which rises by a step while the
    point is not adversarial and falls while it is; the weight is averaged over time. Costs `steps`
    gradients and one more forward pass.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        steps: Number of steps.
        step_size: Adam's step, in units of the width of the bounds; falls exponentially to a
            hundredth.
        dual_step_size: Step of the dual variable; falls linearly to a tenth.
        initial_ratio: Weight of the norm over that of the margin, to begin with.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_count("steps", steps)
    checks.check_number("step_size", step_size, 0)
    checks.check_number("dual_step_size", dual_step_size, 0)
    checks.check_number("initial_ratio", initial_ratio, 0)
    with search(
        model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator
    ) as state:
        points, perturbations = state.origins, torch.zeros_like(state.origins)
        adam = Adam(state.origins)
        # The odds of the weight w, as a logarithm: the difference of the paper's two variables.
        log_odds = torch.full_like(state.incumbent.distances, -math.log(initial_ratio))
        weights = log_odds.sigmoid()
        for step in range(steps):
            state.progress(step / steps)
            visit = state.visit(points)
            margins = state.margins(visit.logits)
            gradients = state.alive(visit.pull_back(state.margin_direction(visit.logits)))
            outwards = geometry.on_sphere(perturbations, torch.ones_like(weights))
            # The derivative of softplus is the logistic function.
            pressure = per_sample(weights * margins.sigmoid(), points).to(points.dtype)
            weight = per_sample(1 - weights, points).to(points.dtype)
            gradients = pressure * gradients + weight * outwards
            rate = step_size * 0.01 ** (step / steps)
            moved = perturbations - rate * adam.step(gradients)
            points = state.points(moved)
            perturbations = state.perturbations(points)
            left = 1 - step / max(steps - 1, 1)
            dual_rate = dual_step_size * (0.1 + 0.9 * left)
            log_odds = log_odds + dual_rate * torch.where(visit.adversarial, -1.0, 1.0)
            log_odds = log_odds.clamp(-_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
            weights = torch.lerp(weights, log_odds.sigmoid(), 0.1)
        state.judge(points)
        return state.result()


_LARGEST_LOG_ODDS = -math.log(1e-6)
