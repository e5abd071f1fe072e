"""The Madry defense: train on the worst point of a ball.

Madry, Makelov, Schmidt, Tsipras, Vladu: "Towards Deep Learning Models Resistant to Adversarial
Attacks", ICLR 2018, https://arxiv.org/abs/1706.06083; eq. 7 of Rony et al. (2019).
"""

import torch
from torch import Generator, Tensor, nn

from minnorm import geometry
from minnorm.attacks.engine.ascent import ascend
from minnorm.training.objectives.ball import checked_step_size, search_in_balls
from minnorm.training.objectives.contract import Adversarial
from minnorm.training.objectives.losses import loss_on_points
from minnorm.training.objectives.randomness import noise


def madry(
    *,
    epsilon: float,
    norm: geometry.Norm = "l2",
    steps: int = 10,
    step_size: float | None = None,
    warm_start: bool = False,
    label_smoothing: float = 0.0,
) -> Adversarial:
    """Return the objective that trains on the last points of PGD, adversarial or not.

    PGD starts at random points of the ball.

    Args:
        epsilon: The radius of the ball.
        norm: `l2` or `linf`.
        steps: Gradients for each update.
        step_size: The length of a step; by default `2.5 * epsilon / steps`.
        warm_start: Whether PGD starts from the points of the previous epoch instead.
        label_smoothing: See `clean`.

    Raises:
        InputError: If an argument is not as described.
    """
    length = checked_step_size(epsilon, norm, steps, step_size)

    def perturb(
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        starts: Tensor | None,
        generator: Generator,
        *,
        mask: Tensor | None = None,
    ) -> Tensor:
        opened = search_in_balls(
            model, inputs, labels, generator, epsilon=epsilon, norm=norm, mask=mask
        )
        with opened as (search, radii):
            if starts is None:
                # Each sample has its own start, so that training covers more of the ball.
                directions = search.problem.along_free(noise(inputs, generator))
                # The distribution function of a normal variable makes it uniform.
                shares = torch.special.ndtr(noise(inputs.new_empty(len(inputs)), generator))
                drawn = geometry.uniform_in_unit_ball(
                    directions, shares, norm, search.problem.entries
                )
                perturbations = epsilon * drawn
            else:
                perturbations = geometry.project_onto_ball(starts - inputs, radii, norm)
            first = search.problem.points(perturbations)
            return ascend(search, first, radii, steps=steps, step_size=length)

    return Adversarial(perturb, loss_on_points(label_smoothing), warm_start=warm_start)
