"""Training with single-step samples (Goodfellow et al., ICLR 2015, and Tramer et al., ICLR 2018).

Goodfellow, Shlens, Szegedy: "Explaining and Harnessing Adversarial Examples",
https://arxiv.org/abs/1412.6572; eq. 6 of Rony et al. (2019).
"""

from torch import Generator, Tensor, nn

from minnorm import checks, geometry
from minnorm.attacks.engine.ascent import ascend
from minnorm.training.objectives.ball import search_in_balls
from minnorm.training.objectives.contract import Adversarial
from minnorm.training.objectives.losses import mixed_loss


def fgsm(
    *,
    epsilon: float,
    norm: geometry.Norm = "linf",
    weight: float = 0.5,
    label_smoothing: float = 0.0,
) -> Adversarial:
    """Return the objective that trains on the inputs, and on the points one FGSM step away.

    Args:
        epsilon: The length of the step.
        norm: `l2` or `linf`.
        weight: The weight of the loss on the inputs, `alpha` of eq. 6, from 0 to below 1.
        label_smoothing: See `clean`.

    Raises:
        InputError: If an argument is not as described.
    """
    check_step(epsilon, norm, weight)

    def perturb(
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        _starts: Tensor | None,
        generator: Generator,
        *,
        mask: Tensor | None = None,
    ) -> Tensor:
        return one_step(model, inputs, labels, generator, epsilon=epsilon, norm=norm, mask=mask)

    return Adversarial(perturb, mixed_loss(weight, label_smoothing))


def check_step(epsilon: float, norm: geometry.Norm, weight: float) -> None:
    """Check the arguments of an objective with single steps.

    Raises:
        InputError: If one is not as `fgsm` describes it.
    """
    checks.check_number("epsilon", epsilon, 0)
    checks.check_number("weight", weight, 0, 1, inclusive=True)
    geometry.check_ball(norm)


def one_step(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    generator: Generator,
    *,
    epsilon: float,
    norm: geometry.Norm,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the points one FGSM step away from the inputs, adversarial or not."""
    opened = search_in_balls(
        model, inputs, labels, generator, epsilon=epsilon, norm=norm, mask=mask
    )
    with opened as (search, radii):
        return ascend(search, search.problem.origins, radii, steps=1, step_size=epsilon)
