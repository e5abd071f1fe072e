"""Logits and labels: predictions, decisions, losses and their directions. Pure functions.

Shapes: `b` is the batch, `c` the classes (2 or more). Labels are int64 in `[0, c)`.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.errors import InputError


@runtime_checkable
class Model(Protocol):
    """A classifier: any callable that maps inputs `[b *d]` to logits `[b c]`, with c at least 2.

    The logits of a sample must not depend on the other samples of the batch, and must be the same
    each time: a module is in evaluation mode.
    """

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Return the logits of a batch."""
        ...


def predictions(logits: Float[Tensor, "b c"]) -> Int64[Tensor, "b"]:
    """Return the class with the largest logit, and -1 (no class) where a logit is NaN."""
    return torch.where(logits.isnan().any(1), -1, logits.argmax(1))


def is_adversarial(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"], targeted: bool
) -> Bool[Tensor, "b"]:
    """Decide for each sample whether the attack has reached its goal (eq. 1).

    Untargeted: the prediction is a class other than the label. Targeted: it is the label.
    Logits that hold a NaN predict no class, so they are never adversarial.
    """
    predicted = predictions(logits)
    return predicted == labels if targeted else (predicted != labels) & (predicted >= 0)


def margins(logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Return the logit of the label minus the largest other logit: below 0 if misclassified."""
    own = logits.gather(1, labels.unsqueeze(1))
    others = logits.scatter(1, labels.unsqueeze(1), -torch.inf)
    return (own - others.amax(1, keepdim=True)).squeeze(1)


def cross_entropy_direction(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"]
) -> Float[Tensor, "b c"]:
    """Return the direction in logit space in which the cross-entropy to `labels` grows.

    The gradient of the cross-entropy is `(1 - p_y) * (sum_{j != y} q_j e_j - e_y)`, with `p` the
    softmax and `q` the softmax over the other classes alone. The factor `1 - p_y` is left out: it
    changes only the length of a gradient, and in float32 it is exactly zero for a sample with a
    margin above 17, which would leave no direction at all.

    Returns:
        One row for each sample: the gradient of the logits for a backward pass.
    """
    index = labels.unsqueeze(1)
    return logits.scatter(1, index, -torch.inf).softmax(1).scatter_(1, index, -1.0)


def margin_direction(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"]
) -> Float[Tensor, "b c"]:
    """Return the gradient of `margins` with respect to the logits."""
    index = labels.unsqueeze(1)
    runner_up = logits.scatter(1, index, -torch.inf).argmax(1, keepdim=True)
    return torch.zeros_like(logits).scatter_(1, runner_up, -1.0).scatter_(1, index, 1.0)


def likeliest_others(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"], number: int
) -> Int64[Tensor, "b k"]:
    """Return the `number` classes with the largest logits besides the label, or all if fewer."""
    others = logits.nan_to_num().scatter(1, labels.unsqueeze(1), -torch.inf)
    return others.topk(min(number, logits.shape[1] - 1), dim=1).indices


def logit_differences(
    logits: Float[Tensor, "b c"], ones: Int64[Tensor, "b"], others: Int64[Tensor, "b"]
) -> Float[Tensor, "b"]:
    """Return the logits of the classes `ones` minus those of the classes `others`."""
    index = torch.stack([ones, others], dim=1)
    one, other = logits.gather(1, index).unbind(1)
    return one - other


def difference_direction(
    logits: Float[Tensor, "b c"], ones: Int64[Tensor, "b"], others: Int64[Tensor, "b"]
) -> Float[Tensor, "b c"]:
    """Return the gradient of `logit_differences` with respect to the logits."""
    directions = torch.zeros_like(logits).scatter_(1, others.unsqueeze(1), -1.0)
    return directions.scatter_(1, ones.unsqueeze(1), 1.0)


def logits_ratio(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"], *, constant_range: bool = False
) -> Float[Tensor, "b"]:
    """Return the margin divided by the range of the three largest logits.

    The difference of logits ratio with the opposite sign (Croce & Hein 2020, eq. 6): it does not
    change when all logits are scaled or shifted.

    Args:
        logits: The logits.
        labels: The labels.
        constant_range: Whether the divisor counts as constant in the gradient. Otherwise the ratio
            has no gradient where the label has the third largest logit: there it is -1.

    Raises:
        InputError: If there are fewer than 3 classes.
    """
    check_classes_of_ratio(logits.shape[1], 3)
    first, _, third = (
        (logits.detach() if constant_range else logits).topk(3, dim=1).values.unbind(1)
    )
    return margins(logits, labels) / (first - third).clamp_min(torch.finfo(logits.dtype).tiny)


def targeted_logits_ratio(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"], targets: Int64[Tensor, "b"]
) -> Float[Tensor, "b"]:
    """Return the label's logit minus the target's, divided by the range of the four largest.

    The targeted difference of logits ratio with the opposite sign (Croce & Hein 2020, eq. 7).

    Raises:
        InputError: If there are fewer than 4 classes.
    """
    check_classes_of_ratio(logits.shape[1], 4)
    first, _, third, fourth = logits.topk(4, dim=1).values.unbind(1)
    difference = logit_differences(logits, labels, targets)
    scale = first - (third + fourth) / 2
    return difference / scale.clamp_min(torch.finfo(logits.dtype).tiny)


def check_classes_of_ratio(classes: int, least: int) -> None:
    """Check that a model has enough classes for a ratio of logits.

    Raises:
        InputError: If there are fewer than `least` classes.
    """
    if classes < least:
        raise InputError(
            f"this ratio of logits needs at least {least} classes, the model has {classes}: use "
            "loss='cross-entropy'."
        )


def value_and_direction(
    loss: Callable[[Float[Tensor, "b c"]], Float[Tensor, "b"]], logits: Float[Tensor, "b c"]
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b c"]]:
    """Return a loss of each sample, and its gradient with respect to the logits."""
    with torch.enable_grad():
        variables = logits.detach().requires_grad_()
        values = loss(variables)
        total = values.sum()
    (direction,) = torch.autograd.grad(total, variables)
    return values.detach(), direction


def check_logits(logits: object, labels: Tensor) -> None:
    """Check the first logits of a model against the labels.

    Raises:
        InputError: If they are not a floating point tensor `[b c]` of at least 2 classes, or a
            label is not in `[0, c)`.
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"the model returned {kind}; expected a floating point tensor of logits.")
    if logits.ndim != 2 or len(logits) != len(labels) or logits.shape[1] < 2:
        raise InputError(
            f"the model returned an output of shape {list(logits.shape)} for {len(labels)} inputs; "
            f"expected logits [{len(labels)}, classes] with at least 2 classes."
        )
    check_labels(labels, logits.shape[1])


def check_labels(labels: Tensor, classes: int) -> None:
    """Check that a model has a class for each label.

    Raises:
        InputError: If a label is not in `[0, classes)`.
    """
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"labels range from {int(labels.min())} to {int(labels.max())}, but the model has "
            f"{classes} classes: expected labels from 0 to {classes - 1}."
        )
