"""The Madry defense: train on the worst point of a ball.

Madry, Makelov, Schmidt, Tsipras, Vladu: "Towards Deep Learning Models Resistant to Adversarial
Attacks", ICLR 2018, https://arxiv.org/abs/1706.06083; eq. 7 of Rony et al. (2019).
"""

import torch
from torch import Generator, Tensor, nn

from minnorm import geometry
from minnorm.attacks.ascent import ascend
from minnorm.training.objectives.ball import check_ascent, in_ball
from minnorm.training.objectives.contract import Adversarial, Objective, noise, on_points


def madry(
    *,
    epsilon: float,
    norm: geometry.Norm = "l2",
    steps: int = 10,
    step_size: float | None = None,
    warm_start: bool = False,
    label_smoothing: float = 0.0,
) -> Objective:
    """Gives the loss at the points that PGD reaches from random points of the ball.

    The last point of PGD, whether the model errs there or not.

    Args:
        epsilon: The radius of the ball.
        norm: `l2` or `linf`.
        steps: Gradients for each update.
        step_size: Length of a step; by default `2.5 * epsilon / steps`.
        warm_start: Whether PGD starts where the sample was moved in the last epoch.
        label_smoothing: See `clean`.

    Raises:
        ValueError: If an argument is not as described.
    """
    rate = check_ascent(epsilon, norm, steps, step_size)

    def perturb(
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        generator: Generator,
        starts: Tensor | None = None,
    ) -> Tensor:
        around = in_ball(model, inputs, labels, generator, epsilon=epsilon, norm=norm)
        with around as (state, radii):
            if starts is None:
                # Unlike an attack's, each sample's start is its own: the more of them are seen.
                directions = noise(inputs, generator)
                # The distribution function of a normal variable makes it uniform.
                shares = torch.special.ndtr(noise(inputs.new_empty(len(inputs)), generator))
                moved = epsilon * geometry.in_unit_ball(directions, shares, norm)
            else:
                moved = geometry.into_ball(starts - inputs, radii, norm)
            return ascend(state, state.points(moved), radii, steps=steps, step_size=rate)

    return Adversarial(perturb, on_points(label_smoothing), warm_start=warm_start)
