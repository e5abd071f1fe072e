"""Checks of the tensors and the bounds that every attack takes."""

import math
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minnorm import boxes
from minnorm.boxes import Bounds
from minnorm.checks import check_count
from minnorm.errors import InputError

_SLIGHT = 1e-3
"""The excess over the bounds, as a share of their width, that is likely an error of rounding."""


def check_bounds(bounds: Any) -> None:
    """Check the bounds of the inputs: two numbers, or tensors with a bound for each feature.

    Raises:
        InputError: If they are neither, a bound is NaN, or a low one is above the high one.
    """
    pair = isinstance(bounds, tuple | list) and len(bounds) == 2
    usual = pair and all(_is_bound(bound) for bound in bounds)
    numbers = usual and boxes.is_interval((bounds[0], bounds[1]))
    if not usual or (numbers and not bounds[0] < bounds[1]):
        raise InputError(
            f"bounds={_shown(bounds)}: expected (low, high), two numbers with low < high, or "
            "tensors with a bound for each feature."
        )
    if numbers:
        return
    low, high = (torch.as_tensor(bound, dtype=torch.float64).cpu() for bound in bounds)
    try:
        ordered = low <= high
    except RuntimeError as error:
        raise InputError(
            f"the low bounds have shape {list(low.shape)}, the high ones {list(high.shape)}; "
            "expected shapes that broadcast to each other."
        ) from error
    usable = ordered & (low < math.inf) & (high > -math.inf)
    if not usable.all():
        where = [int(place) for place in (~usable).nonzero()[0]]
        ends = (float(bound.expand_as(usable)[tuple(where)]) for bound in (low, high))
        raise InputError(
            f"the bounds at {where} are {' and '.join(f'{end:g}' for end in ends)}: expected "
            "low <= high. Equal bounds are for a feature that cannot change."
        )


def bounds_of(bounds: Any) -> Bounds:
    """Return bounds given as numbers, tensors or arrays as numbers or tensors.

    Raises:
        InputError: If they are not bounds, see `check_bounds`.
    """
    if isinstance(bounds, tuple | list):
        bounds = tuple(
            torch.as_tensor(one) if isinstance(one, np.ndarray) and one.dtype.kind in "fiu" else one
            for one in bounds
        )
    check_bounds(bounds)
    low, high = bounds
    return low, high


def _is_bound(bound: object) -> bool:
    if isinstance(bound, Tensor):
        return bound.dtype != torch.bool and not bound.is_complex()
    return isinstance(bound, Real) and not isinstance(bound, bool)


def _shown(bounds: Any) -> str:
    """Return bounds for a message: the shapes of tensors, and anything else as it is."""
    if not isinstance(bounds, tuple | list):
        return str(bounds)
    shown = ", ".join(
        f"a {type(one).__name__} of shape {list(one.shape)} and dtype {one.dtype}"
        if hasattr(one, "shape") and hasattr(one, "dtype")
        else str(one)
        for one in bounds
    )
    return f"({shown})"


def check_mask(mask: Any, inputs: Tensor) -> None:
    """Check a mask of the features that may change, `None` for all of them.

    Raises:
        InputError: If it is not boolean, or does not broadcast to the inputs.
    """
    if mask is None:
        return
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind = f"of dtype {mask.dtype}" if isinstance(mask, Tensor) else f"a {type(mask).__name__}"
        raise InputError(
            f"the mask is {kind}; expected a boolean tensor, true for the features that may change."
        )
    _check_shape("the mask has", mask, inputs)


def _check_shape(what: str, values: Tensor, inputs: Tensor) -> None:
    # From the last dimension on, as in any broadcasting.
    sizes = zip(reversed(values.shape), reversed(inputs.shape), strict=False)
    if values.ndim > inputs.ndim or not all(size in (1, wanted) for size, wanted in sizes):
        sample = list(inputs.shape[1:])
        raise InputError(
            f"{what} shape {list(values.shape)}; expected one that broadcasts to the inputs, of "
            f"shape {list(inputs.shape)}: {sample} for one value of each feature."
        )


def check_samples(
    inputs: Any, labels: Any, bounds: Any, starts: Any = None, *, mask: Any = None
) -> None:
    """Check the tensors that every attack takes.

    Raises:
        InputError: If one is not a tensor, a shape or dtype is wrong, the bounds or the mask are
            not as described, or an input or a start is NaN or outside the bounds.
    """
    check_bounds(bounds)
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
            _check_shape("the bounds have", bound, inputs)
    check_mask(mask, inputs)
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
    wide = values.detach().double()
    if wide.isnan().any():
        raise InputError(f"{name} hold NaN: remove those samples or fix them.")
    ends = [torch.as_tensor(bound, dtype=torch.float64, device=wide.device) for bound in bounds]
    dtypes = (values.dtype, torch.float32)
    low, high = (torch.stack([end.to(dtype).double() for dtype in dtypes]) for end in ends)
    outside = (wide < low.amin(0)) | (wide > high.amax(0)) | wide.isinf()
    if not outside.any():
        return
    where = tuple(int(place) for place in outside.nonzero()[0])
    least, most = (float(end.expand_as(wide)[where]) for end in ends)
    raise InputError(
        f"{name} are outside the bounds in {int(outside.sum())} values, for example "
        f"{float(wide[where]):g} at {list(where)}, where the bounds are {least:g} and {most:g}: "
        "clamp them, or set the bounds that they have."
    )
