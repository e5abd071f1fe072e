"""Losses that objectives share: on the labels, on perturbed inputs, on both."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm import checks
from minnorm.training.objectives.contract import Loss

Criterion = Callable[[Float[Tensor, "b c"], Int64[Tensor, "b"]], Float[Tensor, ""]]
"""`(logits, labels) -> scalar loss`, the paper's `J`."""


def smoothed_cross_entropy(label_smoothing: float) -> Criterion:
    """Return the mean cross-entropy against labels that are smoothed: spread over all classes.

    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: "Rethinking the Inception Architecture for Computer
    Vision", CVPR 2016, https://arxiv.org/abs/1512.00567, section 7.

    Args:
        label_smoothing: The share of a label that is spread, from 0 to below 1.

    Raises:
        InputError: If the share is outside that range.
    """
    checks.check_number("label_smoothing", label_smoothing, 0, 1, inclusive=True)
    return partial(cross_entropy, label_smoothing=label_smoothing)


def loss_on_points(label_smoothing: float) -> Loss:
    """Return the loss `J(x~, y, theta)` on the perturbed inputs alone (eq. 7 and 9)."""
    criterion = smoothed_cross_entropy(label_smoothing)
    return lambda model, _inputs, points, labels: criterion(model(points), labels)


def mixed_loss(weight: float, label_smoothing: float) -> Loss:
    """Return the loss `weight * J(x, y, theta) + (1 - weight) * J(x~, y, theta)` (eq. 6)."""
    criterion = smoothed_cross_entropy(label_smoothing)

    def loss(model: nn.Module, inputs: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        logits = logits_of_both(model, inputs, points)
        clean, perturbed = (criterion(part, labels) for part in logits)
        return weight * clean + (1 - weight) * perturbed

    return loss


def logits_of_both(
    model: nn.Module, inputs: Float[Tensor, "b *d"], points: Float[Tensor, "b *d"]
) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Return the logits of inputs and points, computed in one batch.

    The statistics of a batch norm are then those of both, and ranks synchronize once.
    """
    logits: Tensor = model(torch.cat([inputs, points]))
    return logits[: len(inputs)], logits[len(inputs) :]
