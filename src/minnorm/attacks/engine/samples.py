"""Checks of the tensors and the bounds that every attack takes."""

import math
from typing import Any

import torch
from torch import Tensor

from minnorm import box_arguments, boxes
from minnorm.checks import check_count
from minnorm.errors import InputError

_SLIGHT = 1e-3
"""The excess over the bounds, as a share of their width, that is likely an error of rounding."""


def check_samples(
    inputs: Any, labels: Any, bounds: Any, starts: Any = None, *, mask: Any = None
) -> None:
    """Check the tensors that every attack takes.

    Raises:
        InputError: If one is not a tensor, a shape or dtype is wrong, the bounds or the mask are
            not as described, or an input or a start is NaN or outside the bounds.
    """
    box_arguments.check_bounds(bounds)
    for name, values in (("inputs", inputs), ("labels", labels), ("starts", starts)):
        if not isinstance(values, Tensor) and not (name == "starts" and values is None):
            raise InputError(
                f"{name} are a {type(values).__name__}; expected a torch tensor, for example "
                f"torch.as_tensor({name})."
            )
    if inputs.ndim < 1 or not inputs.is_floating_point():
        raise InputError(
            f"inputs have shape {list(inputs.shape)} and dtype {inputs.dtype}; expected floating "
            "point values [b, ...]."
        )
    if labels.shape != inputs.shape[:1] or labels.dtype != torch.int64:
        add = "add the dimension of the batch to both, inputs[None] and labels[None]"
        single = f" For a single sample, {add}." if labels.ndim == 0 else ""
        raise InputError(
            f"labels have shape {list(labels.shape)} and dtype {labels.dtype}; expected int64 of "
            f"shape [{len(inputs)}], one for each input.{single}"
        )
    if labels.device != inputs.device:
        raise InputError(
            f"inputs are on {inputs.device}, labels on {labels.device}; expected the same device."
        )
    if inputs.numel() == 0 and len(inputs) > 0:
        raise InputError(f"inputs have shape {list(inputs.shape)}: the samples hold no values.")
    for bound in bounds:
        if isinstance(bound, Tensor):
            box_arguments.check_shape("the bounds have", bound, inputs.shape)
    box_arguments.check_mask(mask, inputs.shape)
    _check_inside("inputs", inputs, bounds)
    if starts is not None:
        if starts.shape != inputs.shape or starts.dtype != inputs.dtype:
            raise InputError(
                f"starts are {starts.dtype} of shape {list(starts.shape)}; expected the same as "
                f"the inputs, {inputs.dtype} of shape {list(inputs.shape)}."
            )
        _check_inside("starts", starts, bounds)


def check_levels(levels: Any, bounds: Any) -> None:
    """Check the number of levels that an attack rounds to, `None` for no rounding.

    Raises:
        InputError: If it is below 2, or the bounds of a feature that can change are infinite.
    """
    if levels is None:
        return
    check_count("levels", levels, least=2)
    free = boxes.free(bounds)
    widths = bounds[1] - bounds[0]
    finite = math.isfinite(widths) if free is None else bool((widths.isfinite() | ~free).all())
    if not finite:
        shown = bounds if free is None else "infinite ones"
        raise InputError(f"levels={levels} needs finite bounds, not {shown}: use levels=None.")


def _check_inside(name: str, values: Tensor, bounds: Any) -> None:
    if values.numel() == 0:
        return
    if not boxes.is_interval(bounds):
        _check_inside_box(name, values, bounds)
        return
    # aminmax propagates NaN, and every comparison with NaN is false.
    least, most = (float(value) for value in values.detach().aminmax())
    # The bounds are rounded to the dtype of the values: float32 cannot hold 0.1. Values in float64
    # may have been float32 before.
    dtypes = (values.dtype, torch.float32)
    low = min(float(torch.tensor(bounds[0], dtype=dtype)) for dtype in dtypes)
    high = max(float(torch.tensor(bounds[1], dtype=dtype)) for dtype in dtypes)
    if not low <= least <= most <= high or math.isinf(least) or math.isinf(most):
        if math.isnan(least):
            raise InputError(f"{name} hold NaN: remove those samples or fix them.")
        excess = max(bounds[0] - least, most - bounds[1])
        if 0 < excess <= _SLIGHT * boxes.span(bounds):
            raise InputError(
                f"{name} are up to {excess:.2g} outside the bounds {bounds}: clamp them "
                f"({name}.clamp{tuple(bounds)})."
            )
        raise InputError(
            f"{name} range from {least:g} to {most:g}, outside the bounds {bounds}: scale them "
            "(normalization belongs in the model), or set the bounds that they have."
        )


def _check_inside_box(name: str, values: Tensor, bounds: Any) -> None:
    wide = values.detach().to(torch.promote_types(values.dtype, torch.float32))
    if wide.isnan().any():
        raise InputError(f"{name} hold NaN: remove those samples or fix them.")
    # The dtype before the device, which may not have the dtype of the bounds.
    low, high = (
        torch.stack([_as(bound, dtype).to(wide.dtype) for dtype in (values.dtype, torch.float32)])
        for bound in bounds
    )
    low, high = low.amin(0).to(wide.device), high.amax(0).to(wide.device)
    outside = (wide < low) | (wide > high) | wide.isinf()
    if not outside.any():
        return
    where = tuple(int(place) for place in outside.nonzero()[0])
    least, most = (float(end.expand_as(wide)[where]) for end in (low, high))
    raise InputError(
        f"{name} are outside the bounds in {int(outside.sum())} values, for example "
        f"{float(wide[where]):g} at {list(where)}, where the bounds are {least:g} and {most:g}: "
        "clamp them, or set the bounds that they have."
    )


def _as(bound: float | Tensor, dtype: torch.dtype) -> Tensor:
    return bound.to(dtype) if isinstance(bound, Tensor) else torch.tensor(bound, dtype=dtype)
