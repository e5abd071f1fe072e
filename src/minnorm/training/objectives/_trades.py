"""TRADES: accuracy on the inputs, and the same answer around them.

Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan: "Theoretically Principled Trade-off between Robustness and
Accuracy", ICML 2019, https://arxiv.org/abs/1901.08573, algorithm 1.
"""

from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import kl_div

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.ascent import ascend
from minnorm.training.objectives.ball import check_ascent, in_ball
from minnorm.training.objectives.contract import (
    Adversarial,
    Loss,
    Objective,
    in_one_pass,
    noise,
    smoothed,
)

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
    label_smoothing: float = 0.0,
) -> Objective:
    """Gives `J(x, y) + beta * KL(f(x) || f(x~))`, x~ being where f answers most otherwise.

    Args:
        epsilon: The radius of the ball in which x~ is looked for.
        beta: The weight of the divergence, `1 / lambda` in the paper.
        norm: `l2` or `linf`.
        steps: Gradients for each update.
        step_size: Length of a step; by default `2.5 * epsilon / steps`.
        label_smoothing: See `clean`; of the labels, not of the model's answers to the inputs.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_number("beta", beta, 0)
    rate = check_ascent(epsilon, norm, steps, step_size)

    def perturb(model: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        around = in_ball(model, inputs, labels, generator, epsilon=epsilon, norm=norm)
        with around as (state, radii):
            climb = partial(ascend, state, radii=radii, step_size=rate)
            # Of the start in low precision nothing would be left but rounding.
            with torch.autocast(inputs.device.type, enabled=False):
                expected = state.logits_at(state.origins).softmax(1)

                def uphill(logits: Tensor) -> Tensor:
                    """Gives the gradient of the divergence with respect to the second logits."""
                    return logits.softmax(1) - expected

                start = state.points(_START * noise(inputs, generator))
                first = climb(points=start, steps=1, direction=uphill)
            return climb(points=first, steps=steps - 1, direction=uphill)

    return Adversarial(perturb, _loss(beta, label_smoothing))


def _loss(beta: float, label_smoothing: float) -> Loss:
    criterion = smoothed(label_smoothing)

    def loss(model: nn.Module, inputs: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        clean, moved = in_one_pass(model, inputs, points)
        divergence = kl_div(
            moved.log_softmax(1), clean.log_softmax(1), reduction="batchmean", log_target=True
        )
        return criterion(clean, labels) + beta * divergence

    return loss
