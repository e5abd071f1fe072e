"""Training on the closest adversarials that an attack finds (section 5, eq. 9)."""

from inspect import signature
from typing import Any

import torch
from torch import Generator, Tensor, nn

from minnorm import geometry
from minnorm.attacks import checks, load_attack
from minnorm.attacks.combinators import norm_of
from minnorm.training.objectives.contract import Adversarial, Objective, on_points


def closest(
    *,
    max_norm: float,
    attack: str = "normal_pursuit(budget=20, drop_finished=False)",
    warm_start: bool = False,
    label_smoothing: float = 0.0,
) -> Objective:
    """Gives the loss at the closest adversarials, scaled down to a largest norm.

    Scaled down, a sample need not be adversarial any more, nor on the grid of an attack's `levels`:
    that is what the defense trains on. Where none is found, or the model errs to begin with, it is
    the input itself.

    Args:
        max_norm: The largest norm of a perturbation, in the attack's norm, L2 or Linf.
        attack: The attack's spec.
        warm_start: Whether the attack starts where the sample was moved in the last epoch.
        label_smoothing: See `clean`.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_number("max_norm", max_norm, 0)
    if not isinstance(attack, str):
        raise ValueError(f"attack={attack!r}: expected the spec of an attack, as 'ddn(steps=10)'.")
    function = load_attack(attack)
    norm = norm_of([function])
    if warm_start and "starts" not in signature(function).parameters:
        raise ValueError(f"warm_start: {attack!r} takes no starts.")
    geometry.check_ball(norm)

    def perturb(
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        generator: Generator,
        starts: Tensor | None = None,
    ) -> Tensor:
        warm: dict[str, Any] = {} if starts is None else {"starts": starts}
        found = function(model, inputs, labels, generator=generator, **warm)
        radii = torch.full_like(found.distances, max_norm)
        return inputs + geometry.into_ball(found.adversarials - inputs, radii, norm)

    return Adversarial(perturb, on_points(label_smoothing), warm_start=warm_start)
