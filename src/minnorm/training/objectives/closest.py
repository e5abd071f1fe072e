"""Training on the closest adversarials that an attack finds (section 5, eq. 9)."""

from typing import Any

import torch
from torch import Generator, Tensor, nn

from minnorm import boxes, checks, geometry
from minnorm.attacks import load_attack
from minnorm.attacks.composition import norm_of, tree
from minnorm.errors import InputError
from minnorm.training.objectives.contract import Adversarial
from minnorm.training.objectives.losses import loss_on_points


def closest(
    *,
    max_norm: float,
    attack: str = "normal_pursuit(budget=20, drop_finished=False)",
    warm_start: bool = False,
    label_smoothing: float = 0.0,
) -> Adversarial:
    """Return the objective that trains on the closest adversarials, limited to a largest norm.

    A perturbation that is longer than `max_norm` is scaled down to it. The point is then neither
    adversarial, in general, nor on the grid of an attack's `levels`: this is the defense. Where the
    attack finds nothing, or the model misclassifies the input, the point is the input itself (with
    `levels` rounded, if it stays misclassified).

    Args:
        max_norm: The largest norm of a perturbation, in the norm of the attack, L2 or Linf.
        attack: The spec of the attack.
        warm_start: Whether the attack starts from the points of the previous epoch.
        label_smoothing: See `clean`.

    Raises:
        InputError: If an argument is not as described.
    """
    checks.check_number("max_norm", max_norm, 0)
    if not isinstance(attack, str):
        raise InputError(
            f"attack={attack!r}: expected the spec of an attack, for example 'ddn(steps=10)'."
        )
    function = load_attack(attack)
    norm = norm_of([function])
    if warm_start and "starts" not in tree(function).parameters:
        raise InputError(
            f"warm_start: {attack!r} takes no starts. Choose an attack that does, for example "
            "'ddn', or leave warm_start out."
        )
    geometry.check_ball(norm)

    def perturb(
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        starts: Tensor | None,
        generator: Generator,
        *,
        mask: Tensor | None = None,
    ) -> Tensor:
        warm: dict[str, Any] = {} if starts is None else {"starts": starts}
        box = boxes.masked((0.0, 1.0), inputs, mask)
        found = function(model, inputs, labels, bounds=box, generator=generator, **warm)
        radii = torch.full_like(found.distances, max_norm)
        points = inputs + geometry.project_onto_ball(found.adversarials - inputs, radii, norm)
        return points if mask is None else torch.where(mask, points, inputs)  # -0 + 0 is not -0

    return Adversarial(perturb, loss_on_points(label_smoothing), warm_start=warm_start)
