"""TRADES: accuracy on the inputs, and the same answer around them.

Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan: "Theoretically Principled Trade-off between Robustness and
Accuracy", ICML 2019, https://arxiv.org/abs/1901.08573, algorithm 1.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks._pgd import default_step_size
from minnorm.attacks.search import search
from minnorm.training.objectives.contract import Loss, Objective, adversarial, in_one_pass

_START = 1e-3
"""The standard deviation of the noise from which the ascent starts: at the inputs themselves the
divergence has no gradient."""


def trades(
    *,
    epsilon: float,
    beta: float = 6.0,
    norm: geometry.Norm = "linf",
    steps: int = 10,
    step_size: float | None = None,
) -> Objective:
    """Gives `J(x, y) + beta * KL(f(x) || f(x~))`, x~ being where f answers most otherwise.

    Args:
        epsilon: The radius of the ball in which x~ is looked for.
        beta: The weight of the divergence, `1 / lambda` in the paper.
        norm: `l2` or `linf`.
        steps: Gradients for each update.
        step_size: Length of a step; by default `2.5 * epsilon / steps`.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_number("epsilon", epsilon, 0)
    checks.check_number("beta", beta, 0)
    checks.check_count("steps", steps)
    if step_size is not None:
        checks.check_number("step_size", step_size, 0)
    geometry.check_ball(norm)
    rate = step_size or default_step_size(epsilon, steps)

    def perturb(model: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        with search(
            model,
            inputs,
            labels,
            targeted=False,
            bounds=(0.0, 1.0),
            generator=generator,
            norm=norm,
        ) as state:
            radii = torch.full_like(state.incumbent.distances, epsilon)
            expected = state.logits_at(state.origins).softmax(1)
            noise = torch.randn(inputs.shape, generator=generator, device=generator.device)
            points = state.points(_START * noise.to(inputs))
            for _ in range(steps):
                visit = state.visit(points)
                # The gradient of the divergence with respect to the second logits.
                gradients = visit.pull_back(visit.logits.softmax(1) - expected)
                directions = geometry.steepest(gradients, state.noise(), norm)
                moved = state.perturbations(points).add_(directions, alpha=rate)
                points = state.points(geometry.into_ball(moved, radii, norm))
            return points

    return adversarial(perturb, _loss(beta))


def _loss(beta: float) -> Loss:
    def loss(model: nn.Module, inputs: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        clean, moved = in_one_pass(model, inputs, points)
        divergence = kl_div(
            moved.log_softmax(1), clean.log_softmax(1), reduction="batchmean", log_target=True
        )
        return cross_entropy(clean, labels) + beta * divergence

    return loss
