"""What logits say of labels: predictions, decisions, losses and their directions. Pure functions.

Shapes: `b` is the batch, `c` the classes (2 or more). Labels are int64 in `[0, c)`.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def predictions(logits: Float[Tensor, "b c"]) -> Int64[Tensor, "b"]:
    """Gives the class with the largest logit, and -1 where a logit is NaN: no class at all."""
    return torch.where(logits.isnan().any(1), -1, logits.argmax(1))


def is_adversarial(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"], targeted: bool
) -> Bool[Tensor, "b"]:
    """Decides for each sample whether the attack has what it wants (eq. 1).

    Untargeted: the prediction is a class other than the label. Targeted: it is the label.
    Logits that hold a NaN are no prediction, hence never adversarial.
    """
    predicted = predictions(logits)
    return predicted == labels if targeted else (predicted != labels) & (predicted >= 0)


def margins(logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Gives the logit of the label less the largest other logit: below 0 when misclassified."""
    own = logits.gather(1, labels.unsqueeze(1))
    others = logits.scatter(1, labels.unsqueeze(1), -torch.inf)
    return (own - others.amax(1, keepdim=True)).squeeze(1)


def cross_entropy_direction(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"]
) -> Float[Tensor, "b c"]:
    """Gives the direction in logit space in which the cross-entropy to `labels` grows.

    The gradient of the cross-entropy is `(1 - p_y) * (sum_{j != y} q_j e_j - e_y)`, with `p` the
    softmax and `q` the softmax over the other classes alone. The factor `1 - p_y` is left out: it
    changes the length of a gradient and not its direction, and in float32 it is exactly zero for
    a sample that is classified with a margin above 17, which would leave no direction at all.

    Returns:
        One row for each sample, to be given to a backward pass as the gradient of the logits.
    """
    index = labels.unsqueeze(1)
    return logits.scatter(1, index, -torch.inf).softmax(1).scatter_(1, index, -1.0)


def margin_direction(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"]
) -> Float[Tensor, "b c"]:
    """Gives the direction in logit space in which `margins` grow: their gradient."""
    index = labels.unsqueeze(1)
    runner_up = logits.scatter(1, index, -torch.inf).argmax(1, keepdim=True)
    return torch.zeros_like(logits).scatter_(1, runner_up, -1.0).scatter_(1, index, 1.0)


def likeliest_others(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"], number: int
) -> Int64[Tensor, "b k"]:
    """Gives the classes with the largest logits besides the labels: `number`, or all there are."""
    others = logits.nan_to_num().scatter(1, labels.unsqueeze(1), -torch.inf)
    return others.topk(min(number, logits.shape[1] - 1), dim=1).indices


def logit_differences(
    logits: Float[Tensor, "b c"], ones: Int64[Tensor, "b"], others: Int64[Tensor, "b"]
) -> Float[Tensor, "b"]:
    """Gives the logits of some classes less those of others."""
    index = torch.stack([ones, others], dim=1)
    one, other = logits.gather(1, index).unbind(1)
    return one - other


def difference_direction(
    logits: Float[Tensor, "b c"], ones: Int64[Tensor, "b"], others: Int64[Tensor, "b"]
) -> Float[Tensor, "b c"]:
    """Gives the direction in logit space in which `logit_differences` grow: their gradient."""
    directions = torch.zeros_like(logits).scatter_(1, others.unsqueeze(1), -1.0)
    return directions.scatter_(1, ones.unsqueeze(1), 1.0)


def spread(logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    """Gives the largest logit less the third largest."""
    first, _, third = logits.topk(3, dim=1).values.unbind(1)
    return first - third


def logits_ratio(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"], *, constant_spread: bool = False
) -> Float[Tensor, "b"]:
    """Gives the margin in units of the distance from the largest logit to the third largest.

    The difference of logits ratio without its sign (Croce & Hein 2020, eq. 6): it does not change
    when all logits are scaled or shifted.

    Args:
        logits: The logits.
        labels: The labels.
        constant_spread: Let no gradient flow through the distance to the third largest. Where the
            label itself is the third likeliest class, the ratio is -1 and has no gradient else.

    Raises:
        ValueError: If there are fewer than 3 classes, where it is not defined.
    """
    check_classes_of_ratio(logits.shape[1], 3)
    scale = spread(logits.detach() if constant_spread else logits)
    return margins(logits, labels) / scale.clamp_min(torch.finfo(logits.dtype).tiny)


def targeted_logits_ratio(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"], targets: Int64[Tensor, "b"]
) -> Float[Tensor, "b"]:
    """Gives the label's logit less the target's, in units of the spread of the largest four.

    The targeted difference of logits ratio without its sign (Croce & Hein 2020, eq. 7).

    Raises:
        ValueError: If there are fewer than 4 classes, where it is not defined.
    """
    check_classes_of_ratio(logits.shape[1], 4)
    first, _, third, fourth = logits.topk(4, dim=1).values.unbind(1)
    difference = logit_differences(logits, labels, targets)
    scale = first - (third + fourth) / 2
    return difference / scale.clamp_min(torch.finfo(logits.dtype).tiny)


def check_classes_of_ratio(classes: int, least: int) -> None:
    """Checks that a ratio of logits is defined.

    Raises:
        ValueError: If there are fewer than `least` classes.
    """
    if classes < least:
        raise ValueError(
            f"this ratio of logits needs at least {least} classes, the model has {classes}: choose "
            "loss='cross-entropy'."
        )


def value_and_direction(
    loss: Callable[[Float[Tensor, "b c"]], Float[Tensor, "b"]], logits: Float[Tensor, "b c"]
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b c"]]:
    """Gives a loss of each sample, and the direction in logit space in which it grows."""
    with torch.enable_grad():
        variables = logits.detach().requires_grad_()
        values = loss(variables)
        total = values.sum()
    (direction,) = torch.autograd.grad(total, variables)
    return values.detach(), direction


def check_logits(logits: object, labels: Tensor) -> None:
    """Checks a model's first answer against the labels.

    Raises:
        ValueError: If it is not a floating point tensor `[b c]` of 2 classes or more, or a label is
            not in `[0, c)`.
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model gave {kind}; expected a tensor of logits, floating point.")
    if logits.ndim != 2 or len(logits) != len(labels) or logits.shape[1] < 2:
        raise ValueError(
            f"the model gave an output of shape {list(logits.shape)} for {len(labels)} inputs; "
            f"expected logits [{len(labels)}, classes] of at least 2 classes."
        )
    check_labels(labels, logits.shape[1])


def check_labels(labels: Tensor, classes: int) -> None:
    """Checks that a model has a class for each label.

    Raises:
        ValueError: If a label is not in `[0, classes)`.
    """
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels go from {int(labels.min())} to {int(labels.max())}, but the model has "
            f"{classes} classes: expected labels from 0 to {classes - 1}."
        )
