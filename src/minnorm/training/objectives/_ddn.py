"""The paper's defense: train on the closest adversarials (section 5, eq. 9)."""

import torch
from torch import Generator, Tensor, nn

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks import ddn as attack
from minnorm.training.objectives.contract import Objective, adversarial


def ddn(
    *,
    max_norm: float,
    steps: int = 100,
    initial_norm: float = 1.0,
    gamma: float = 0.05,
    levels: int | None = None,
) -> Objective:
    """Gives the loss at the adversarials that DDN finds, scaled down to a largest norm.

    Scaled down, a sample need not be adversarial any more, nor on the grid of `levels`: that is
    what the defense trains on. Where none is found, or the model errs to begin with, it is the
    input itself.

    Args:
        max_norm: The largest L2 norm of a perturbation.
        steps: Gradients for each update.
        initial_norm: See `minnorm.attacks.ddn`; the next two too.
        gamma: The factor by which the norm changes.
        levels: Rounding at each step.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_number("max_norm", max_norm, 0)
    checks.check_count("steps", steps)
    checks.check_number("initial_norm", initial_norm, 0)
    checks.check_number("gamma", gamma, 0, 1)
    checks.check_levels(levels, (0.0, 1.0))

    def perturb(model: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        found = attack(
            model,
            inputs,
            labels,
            steps=steps,
            initial_norm=initial_norm,
            gamma=gamma,
            levels=levels,
            generator=generator,
        )
        radii = torch.full_like(found.distances, max_norm)
        return inputs + geometry.into_ball(found.adversarials - inputs, radii, "l2")

    return adversarial(perturb)
