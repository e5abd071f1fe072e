"""Training with single-step samples (Goodfellow et al., ICLR 2015, and Tramer et al., ICLR 2018).

Goodfellow, Shlens, Szegedy: "Explaining and Harnessing Adversarial Examples",
https://arxiv.org/abs/1412.6572; eq. 6 of Rony et al. (2019).
"""

from torch import Generator, Tensor, nn

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.ascent import ascend
from minnorm.training.objectives.ball import in_ball
from minnorm.training.objectives.contract import Adversarial, Objective, mixed


def fgsm(
    *,
    epsilon: float,
    norm: geometry.Norm = "linf",
    weight: float = 0.5,
    label_smoothing: float = 0.0,
) -> Objective:
    """Gives the loss on the inputs and on the points one FGSM step away, `alpha` and the rest.

    Args:
        epsilon: The length of the step.
        norm: `l2` or `linf`.
        weight: The share of the loss on the inputs, `alpha` of eq. 6, from 0 to below 1.
        label_smoothing: See `clean`.

    Raises:
        ValueError: If an argument is not as described.
    """
    check_step(epsilon, norm, weight)

    def perturb(model: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        return one_step(model, inputs, labels, generator, epsilon=epsilon, norm=norm)

    return Adversarial(perturb, mixed(weight, label_smoothing))


def check_step(epsilon: float, norm: geometry.Norm, weight: float) -> None:
    """Checks the arguments of an objective with single steps.

    Raises:
        ValueError: If one is not as `fgsm` describes.
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
) -> Tensor:
    """Gives the points one FGSM step away from the inputs, adversarial or not."""
    around = in_ball(model, inputs, labels, generator, epsilon=epsilon, norm=norm)
    with around as (state, radii):
        return ascend(state, state.origins, radii, steps=1, step_size=epsilon)
