"""TRADES: accuracy on the inputs, and the same output around them.

Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan: "Theoretically Principled Trade-off between Robustness and
Accuracy", ICML 2019, https://arxiv.org/abs/1901.08573, algorithm 1.
"""

from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import kl_div

from minnorm import checks, geometry
from minnorm.attacks.engine.ascent import ascend
from minnorm.training.objectives.ball import checked_step_size, search_in_balls
from minnorm.training.objectives.contract import Adversarial, Loss
from minnorm.training.objectives.losses import logits_of_both, smoothed_cross_entropy
from minnorm.training.objectives.randomness import noise

_START = 1e-3
"""The standard deviation of the noise at the start: the divergence has no gradient at the inputs
themselves."""


def trades(
    *,
    epsilon: float,
    beta: float = 6.0,
    norm: geometry.Norm = "linf",
    steps: int = 10,
    step_size: float | None = None,
    label_smoothing: float = 0.0,
) -> Adversarial:
    """Return the objective `J(x, y) + beta * KL(f(x) || f(x~))`.

    Here `x~` is the point of the ball where the predicted distribution differs most from `f(x)`.

    Args:
        epsilon: The radius of the ball.
        beta: The weight of the divergence, `1 / lambda` in the paper.
        norm: `l2` or `linf`.
        steps: Gradients for each update.
        step_size: The length of a step; by default `2.5 * epsilon / steps`.
        label_smoothing: See `clean`; it smooths the labels, not the predictions.

    Raises:
        InputError: If an argument is not as described.
    """
    checks.check_number("beta", beta, 0)
    length = checked_step_size(epsilon, norm, steps, step_size)

    def perturb(
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        _starts: Tensor | None,
        generator: Generator,
        *,
        mask: Tensor | None = None,
    ) -> Tensor:
        opened = search_in_balls(
            model, inputs, labels, generator, epsilon=epsilon, norm=norm, mask=mask
        )
        with opened as (search, radii):
            climb = partial(ascend, search, radii=radii, step_size=length)
            # In low precision, rounding would hide the small perturbation of the start.
            with torch.autocast(inputs.device.type, enabled=False):
                expected = search.logits_at(search.problem.origins).softmax(1)

                def uphill(logits: Tensor) -> Tensor:
                    """Return the gradient of the divergence with respect to the second logits."""
                    return logits.softmax(1) - expected

                start = search.problem.points(_START * noise(inputs, generator))
                first = climb(points=start, steps=1, direction=uphill)
            return climb(points=first, steps=steps - 1, direction=uphill)

    return Adversarial(perturb, _loss(beta, label_smoothing))


def _loss(beta: float, label_smoothing: float) -> Loss:
    criterion = smoothed_cross_entropy(label_smoothing)

    def loss(model: nn.Module, inputs: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        clean, perturbed = logits_of_both(model, inputs, points)
        divergence = kl_div(
            perturbed.log_softmax(1), clean.log_softmax(1), reduction="batchmean", log_target=True
        )
        return criterion(clean, labels) + beta * divergence

    return loss
