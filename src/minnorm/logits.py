"""Logits and labels: predictions, decisions, losses and their directions. Pure functions.

Shapes: `b` is the batch, `c` the classes (2 or more). Labels are int64 in `[0, c)`.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from minnorm.errors import InputError

_USUAL_RANGE = (1e-4, 1e6)

_LEAST_MASKED = 1e3

_FAR = 30.0
"""From how many times the size of the larger logits on a logit may be far below them."""

_LEAST_FAR = 100.0
"""The least distance of a logit that is far below the others."""

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
"""Modules that are random in training mode, and may be a defense there."""

ACTIVE_DROPOUT = (
    "If dropout stays on as a defense, write torch.nn.functional.dropout(..., training=True), and "
    "wrap the model with minnorm.models.averaged."
)
"""What to do about a model in evaluation mode whose dropout is in training mode."""


@runtime_checkable
class Model(Protocol):
    """A classifier: any callable that maps inputs `[b *d]` to logits `[b c]`, with c at least 2.

    The logits of a sample must not depend on the other samples of the batch, and must be the same
    each time: a module is in evaluation mode.
    """

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Return the logits of a batch."""
        ...


def is_exported(module: nn.Module) -> bool:
    """Return whether a module is a program of `torch.export`, which keeps its mode."""
    return "train" in vars(module)  # a method of its own, which only raises


def parts_in_training_mode(model: nn.Module) -> dict[str, nn.Module]:
    """Return the parts of a model that are in training mode, by name.

    Parts of exported programs do not count, since their flag means nothing, nor does frozen
    TorchScript, which has none.
    """
    parts = dict(model.named_modules())
    programs = [f"{name}." if name else "" for name, part in parts.items() if is_exported(part)]
    return {
        name: part
        for name, part in parts.items()
        if getattr(part, "training", False) and not f"{name}.".startswith(tuple(programs))
    }


def output_of(model: Model, inputs: Float[Tensor, "b *d"]) -> Any:
    """Return the output of a model for a copy of the inputs; it should be a tensor of logits.

    A model may work in place (`inputs -= mean`): that must not change the caller's tensor.
    """
    return model(inputs.clone())


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


def near_the_top(
    logits: Float[Tensor, "b c"], least_far: float = _LEAST_FAR
) -> Bool[Tensor, "b c"]:
    """Decide which classes have usual logits: finite ones that are not far below the others.

    A class that is masked, with a logit of -1e9 or -inf, is never predicted, and says nothing of
    the size of the other logits. From the third largest logit on, a logit is far below the others,
    as are all that are smaller, if its distance from the largest one is above 100, and above 30
    times the size of those before it: their largest distance, or the largest logit itself. It takes
    two classes to tell a size: near 0 a single log-probability has none.

    Args:
        logits: The logits.
        least_far: The distance that replaces 100.
    """
    if logits.shape[1] < 3:
        return logits.isfinite()
    finite = logits.isfinite()
    values = torch.where(finite, _wide(logits), -torch.inf)
    ordered = values.sort(1, descending=True).values
    top, second, others = ordered[:, :1], ordered[:, 1:2], ordered[:, 2:]
    sizes = torch.maximum(top - ordered[:, 1:-1], top.abs())
    far = (top - others > (_FAR * sizes).clamp_min(least_far)).cumsum(1) > 0
    lowest = torch.where(far, second, others).amin(1, keepdim=True)
    return finite & (values >= lowest)


def _wide(logits: Tensor) -> Tensor:
    return logits.float() if logits.element_size() < 4 else logits


def masked_classes(logits: Float[Tensor, "b c"]) -> Bool[Tensor, "b c"]:
    """Decide which classes a model leaves out for a sample: no target of an attack.

    Their logits are -inf, or far below the others (see `near_the_top`) by more than 1,000: the
    logarithm of a probability of 0 is above that, since it is of the smallest number.
    """
    near = near_the_top(logits, _LEAST_MASKED)
    return ~near & ~logits.isnan() & (logits < torch.inf)


def logit_sizes(logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    """Return the largest absolute logit of each sample, of the classes that are not masked.

    See `near_the_top`. NaN does not count.
    """
    return torch.where(near_the_top(logits), logits.abs(), 0.0).amax(1)


def deciding_sizes(logits: Float[Tensor, "b c"], margins: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Return the largest absolute logit of each sample, or a bound if a masked class has it.

    An upper bound for what decides, where `logit_sizes` would take too long: at each step of an
    attack. A class with a larger logit than the bound is masked, see `near_the_top`.

    Args:
        logits: The logits.
        margins: The margins, of any sign.
    """
    top = torch.maximum(logits.amax(1).abs(), margins.abs())
    return logits.abs().amax(1).minimum((_FAR * top).clamp_min(_LEAST_FAR))


def beyond_rounding(
    logits: Float[Tensor, "b c"],
    expected: Float[Tensor, "b c"],
    share: float,
    *,
    among: Float[Tensor, "n c"] | None = None,
) -> Bool[Tensor, "b c"]:
    """Decide which logits differ from the expected ones by more than rounding.

    Errors of rounding are a share of the largest logit of all samples. Two kinds of logits do not
    count there, since one of them would hide every difference of the others: those of masked
    classes (see `near_the_top`), and those of samples whose logits are far larger than most. Their
    errors are a share of their own size. A logit that is NaN, or infinite, must be the same.

    Args:
        logits: The logits.
        expected: What they should be.
        share: The largest error of rounding, as a share.
        among: Logits of all samples, first those of the expected ones; by default the expected
            ones.
    """
    among = _wide(expected if among is None else among)
    if expected.numel() == 0:
        return torch.zeros_like(expected, dtype=torch.bool)
    sizes = logit_sizes(among)
    typical = sizes.sort().values[len(sizes) // 2]
    usual = sizes <= (_FAR * typical).clamp_min(_LEAST_FAR)
    sizes = torch.maximum(sizes, torch.where(usual, sizes, 0.0).amax())[: len(expected)]
    found, wanted = (_wide(each.nan_to_num()) for each in (logits.to(expected.dtype), expected))
    allowed = share * torch.maximum(sizes.unsqueeze(1), wanted.abs())
    return ~((found - wanted).abs() <= allowed) | (logits.isnan() != expected.isnan())


def unusual_scales(logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    """Return the range of the logits of a sample where it is unusual, and 1 elsewhere.

    A penalty on the margin has no effect on logits of 1e-30, and drowns the norm with logits of
    1e30; divided by these scales, such logits act as usual ones do. A usual range is from 1e-4 to
    1e6. Where it is above, masked classes do not count (see `near_the_top`). Logits that hold a NaN
    have the scale 1.
    """
    low, high = _USUAL_RANGE
    ranges = logits.amax(1) - logits.amin(1)
    near = near_the_top(logits)
    highest = torch.where(near, logits, -torch.inf).amax(1)
    lowest = torch.where(near, logits, torch.inf).amin(1)
    ranges = torch.where(ranges > high, highest - lowest, ranges)
    unusual = ((ranges < low) | (ranges > high)) & (ranges > 0) & ranges.isfinite()
    return torch.where(unusual, ranges, 1.0)


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
        raise InputError(
            f"the model returned {kind}; expected a floating point tensor of logits. A function "
            "that only predicts becomes a model with minnorm.models.predict_only(function, ...)."
        )
    if logits.ndim != 2 or len(logits) != len(labels) or logits.shape[1] < 2:
        advice = ""
        if tuple(logits.shape) in ((len(labels),), (len(labels), 1)):
            advice = (
                " If it is the logit of class 1 of two, wrap the model: "
                "minnorm.models.binary(model)."
            )
        raise InputError(
            f"the model returned an output of shape {list(logits.shape)} for {len(labels)} inputs; "
            f"expected logits [{len(labels)}, classes] with at least 2 classes.{advice}"
        )
    check_labels(labels, logits.shape[1])


def check_labels(labels: Tensor, classes: int) -> None:
    """Check that a model has a class for each label.

    Raises:
        InputError: If a label is not in `[0, classes)`.
    """
    if len(labels) == 0:
        return
    low, high = int(labels.min()), int(labels.max())
    if not 0 <= low <= high < classes:
        advice = " If they are counted from 1, subtract 1." if low >= 1 and high == classes else ""
        raise InputError(
            f"labels range from {low} to {high}, but the model has {classes} classes: expected "
            f"labels from 0 to {classes - 1}.{advice}"
        )
