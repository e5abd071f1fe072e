"""One batch of adversarial training: perturb the inputs, then compute the loss."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from minnorm.errors import InputError
from minnorm.training.evaluation_mode import under_attack
from minnorm.training.objectives.contract import Adversarial
from minnorm.training.objectives.randomness import shared_generator


def perturb_and_loss(
    objective: Adversarial,
    model: nn.Module,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    starts: Float[Tensor, "b *d"] | None = None,
    *,
    mask: Bool[Tensor, "..."] | None = None,
) -> tuple[Float[Tensor, "b *d"], Float[Tensor, ""]]:
    """Perturb a batch with the function of an objective, and compute the loss on it.

    Args:
        objective: The objective.
        model: The model in training mode; it is attacked in evaluation mode, with its parameters
            frozen.
        inputs: The batch, in 0..1.
        labels: The labels.
        starts: The points where the attack starts, for an objective with a warm start.
        mask: Which features may change; it broadcasts to the batch. `None`: all of them.

    Returns:
        The points and the loss.

    Raises:
        InputError: If the objective does not return points in the shape of the inputs.
    """
    generator = shared_generator(inputs.device)
    if mask is not None and starts is not None:  # another augmentation may have moved them
        starts = torch.where(mask, starts, inputs)
    with under_attack(model) as target:
        given = {} if mask is None else {"mask": mask}
        points: object = objective.perturb(target, inputs, labels, starts, generator, **given)
    if not isinstance(points, Tensor) or points.shape != inputs.shape:
        found = list(points.shape) if isinstance(points, Tensor) else type(points).__name__
        raise InputError(
            f"perturb returned {found}; expected a tensor of points of shape {list(inputs.shape)}."
        )
    if mask is not None:  # whatever a user's objective does
        points = torch.where(mask, points, inputs)
    return points, objective.loss(model, inputs, points, labels)
