"""Boxes: the bounds of the inputs, and which features can change. Pure functions.

Shapes: `b` is the batch, `*d` the shape of one sample.
"""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeAlias, TypeGuard, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minnorm.errors import InputError

Bounds: TypeAlias = tuple[float | Tensor, float | Tensor]
"""The lowest and the highest value of an input; either may be infinite.

A tensor holds a bound for each feature, and broadcasts to a batch `[b *d]`: its shape is `[*d]`,
`[3, 1, 1]` for the channels of images, or `[b *d]` for bounds that differ from sample to sample. A
feature whose two bounds are equal cannot change.
"""

Interval: TypeAlias = tuple[float, float]
"""Bounds that are the same for all features."""


def _tensors(bounds: Bounds) -> tuple[Tensor, Tensor]:
    """Return tensor bounds with the type that they have."""
    return cast("tuple[Tensor, Tensor]", bounds)


def rows(values: Float[Tensor, "b *d"]) -> Float[Tensor, "b n"]:
    """Return each sample as one row, also for samples without dimensions and empty batches."""
    return values.flatten(1) if values.ndim > 1 else values.unsqueeze(1)


def is_interval(bounds: Bounds) -> TypeGuard[Interval]:
    """Return whether the bounds are two numbers."""
    return not any(isinstance(bound, Tensor) for bound in bounds)


def for_batch(bounds: Bounds, inputs: Float[Tensor, "b *d"]) -> Bounds:
    """Return tensor bounds as `[b *d]`, or with dimensions of 1, in the dtype of the inputs.

    Two numbers stay as they are.
    """
    if is_interval(bounds):
        return bounds
    low, high = (_for_batch(bound, inputs) for bound in bounds)
    return low, high


def _for_batch(values: float | Tensor, inputs: Tensor) -> Tensor:
    if not isinstance(values, Tensor):
        return inputs.new_full((1,) * inputs.ndim, values)
    missing = inputs.ndim - values.ndim
    return values.to(inputs.device, inputs.dtype).view(*(1,) * missing, *values.shape)


def masked(
    bounds: Bounds, inputs: Float[Tensor, "b *d"], mask: Bool[Tensor, "..."] | None
) -> Bounds:
    """Return bounds that leave some features of the inputs as they are.

    Args:
        bounds: The bounds of the other features.
        inputs: The inputs.
        mask: Which features may change; it broadcasts to the inputs. `None`: all of them.

    Returns:
        The bounds; those of a feature that may not change are its value.
    """
    if mask is None:
        return bounds
    low, high = (
        torch.where(mask.to(inputs.device), _for_batch(bound, inputs), inputs) for bound in bounds
    )
    return low, high


def free(bounds: Bounds) -> Bool[Tensor, "..."] | None:
    """Return which features can change, `None` for all of them."""
    if is_interval(bounds):
        return None
    low, high = _tensors(bounds)
    return low < high


def part(bounds: Bounds, rows: Tensor) -> Bounds:
    """Return the bounds of some of the samples; see `for_batch`."""
    low, high = (
        bound[rows] if isinstance(bound, Tensor) and len(bound) > 1 else bound for bound in bounds
    )
    return low, high


def span(bounds: Interval) -> float:
    """Return the width `high - low` of the bounds, or 1 if a bound is infinite."""
    low, high = bounds
    return high - low if math.isfinite(high - low) else 1.0


def spans(bounds: Bounds, inputs: Float[Tensor, "b *d"]) -> float | Float[Tensor, "b"]:
    """Return the width of the bounds: a number for two numbers, else one for each sample.

    The width of a sample is that of its widest feature; 1 if a bound is infinite, or if no feature
    can change.
    """
    if is_interval(bounds):
        return span(bounds)
    widths = torch.as_tensor(widest(bounds, inputs))
    return torch.where((widths > 0) & widths.isfinite(), widths, 1.0)


def widest(bounds: Bounds, inputs: Float[Tensor, "b *d"]) -> float | Float[Tensor, "b"]:
    """Return the width of the widest feature, which may be infinite; of each sample for tensors."""
    low, high = bounds
    widths = high - low
    if not isinstance(widths, Tensor):
        return widths
    wide = torch.promote_types(inputs.dtype, torch.float32)
    return rows(widths).amax(1).to(wide).expand(len(inputs))


def middle(bounds: Bounds, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
    """Return the points halfway between finite bounds."""
    if is_interval(bounds):
        return torch.full_like(inputs, bounds[0] + span(bounds) / 2)
    low, high = _tensors(bounds)
    return (low + (high - low) / 2).expand_as(inputs)


def common(bounds: Bounds) -> Bounds:
    """Return the bounds of all samples of a batch together, `[1 *d]` for tensors."""
    if is_interval(bounds):
        return bounds
    low, high = _tensors(bounds)
    return low.amin(0, keepdim=True), high.amax(0, keepdim=True)


def copied(bounds: Bounds) -> Bounds:
    """Return bounds whose tensors are copies."""
    low, high = (bound.clone() if isinstance(bound, Tensor) else bound for bound in bounds)
    return low, high


def largest(
    bounds: Bounds,
    inputs: Float[Tensor, "b *d"],
) -> float | Float[Tensor, "b"]:
    """Return the largest size of a finite bound; for tensors of each sample, of its free features.

    It is 0 if there is none.
    """
    if is_interval(bounds):
        return max((abs(bound) for bound in bounds if math.isfinite(bound)), default=0.0)
    low, high = _tensors(bounds)
    sizes = [torch.where((low < high) & end.isfinite(), end.abs(), 0.0) for end in (low, high)]
    wide = torch.promote_types(inputs.dtype, torch.float32)
    return rows(torch.maximum(*sizes)).amax(1).to(wide).expand(len(inputs))


def clip_(points: Float[Tensor, "b *d"], bounds: Bounds) -> Float[Tensor, "b *d"]:
    """Return the points clipped to the bounds; the points may be overwritten."""
    if is_interval(bounds):
        return points.clamp_(*bounds)
    return points.clamp_(*_tensors(bounds))


def quantize(
    inputs: Float[Tensor, "b *d"], levels: int | None, bounds: Bounds
) -> Float[Tensor, "b *d"]:
    """Round each entry to the nearest of `levels` evenly spaced values from low to high.

    With 256 levels on (0, 1) that is the grid of 8-bit images; `None` means no rounding. A feature
    that cannot change is not rounded.
    """
    if levels is None:
        return inputs
    if not is_interval(bounds):
        return _quantized(inputs, levels, *_tensors(bounds))
    low, high = bounds
    steps = (levels - 1) / (high - low)
    # Rounding errors of the last operations can leave the bounds.
    return ((inputs - low) * steps).round_().div_(steps).add_(low).clamp_(low, high)


def _quantized(inputs: Tensor, levels: int, low: Tensor, high: Tensor) -> Tensor:
    steps = (levels - 1) / (high - low)
    rounded = ((inputs - low) * steps).round_().div_(steps).add_(low).clamp_(low, high)
    return torch.where(low < high, rounded, inputs)


def check_bounds(bounds: Any) -> None:
    """Check the bounds of the inputs: two numbers, or tensors with a bound for each feature.

    Raises:
        InputError: If they are neither, a bound is NaN, or a low one is above the high one.
    """
    pair = isinstance(bounds, tuple | list) and len(bounds) == 2
    usual = pair and all(_is_bound(bound) for bound in bounds)
    numbers = usual and is_interval((bounds[0], bounds[1]))
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
    if not any(isinstance(one, Tensor | np.ndarray) for one in bounds):
        return str(bounds)
    shown = ", ".join(
        f"a {type(one).__name__} of shape {list(one.shape)} and dtype {one.dtype}"
        if isinstance(one, Tensor | np.ndarray)
        else str(one)
        for one in bounds
    )
    return f"({shown})"


def mask_of(mask: Any) -> Tensor | None:
    """Return a mask given as a tensor, an array, a list or a flag as a tensor, `None` as it is.

    Raises:
        InputError: If it is not boolean.
    """
    if mask is None:
        return None
    try:
        tensor = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(mask))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the mask is a {type(mask).__name__}; expected a boolean array, true for the features "
            "that may change."
        ) from error
    _check_boolean(tensor)
    return tensor


def check_mask(mask: Any, shape: Sequence[int]) -> None:
    """Check a mask of the features that may change, `None` for all of them.

    Raises:
        InputError: If it is not boolean, or does not broadcast to the inputs.
    """
    if mask is None:
        return
    _check_boolean(mask)
    check_shape("the mask has", mask, shape)


def _check_boolean(mask: Any) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind = f"of dtype {mask.dtype}" if isinstance(mask, Tensor) else f"a {type(mask).__name__}"
        raise InputError(
            f"the mask is {kind}; expected a boolean tensor, true for the features that may change."
        )


def check_shape(what: str, values: Tensor, shape: Sequence[int]) -> None:
    """Check that values broadcast to inputs.

    Args:
        what: The beginning of the message.
        values: The values.
        shape: The shape of the inputs.

    Raises:
        InputError: If they do not.
    """
    if not _broadcasts(values.shape, shape):
        raise InputError(
            f"{what} shape {list(values.shape)}; expected one that broadcasts to the inputs, of "
            f"shape {list(shape)}: {list(shape[1:])} for one value of each feature."
        )


def sample_bounds(bounds: Any, shape: Sequence[int]) -> Bounds:
    """Return bounds of the samples of a data set as numbers or tensors.

    Args:
        bounds: Two numbers, tensors or arrays.
        shape: The shape of a sample.

    Raises:
        InputError: If they are not bounds, or do not broadcast to a sample.
    """
    checked = bounds_of(bounds)
    for bound in checked:
        if isinstance(bound, Tensor):
            _check_sample("the bounds have", bound, shape)
    return checked


def sample_mask(mask: Any, shape: Sequence[int]) -> Bool[Tensor, "..."] | None:
    """Return a mask of the samples of a data set as a tensor, `None` as it is.

    Args:
        mask: A boolean tensor or array.
        shape: The shape of a sample.

    Raises:
        InputError: If it is not boolean, or does not broadcast to a sample.
    """
    checked = mask_of(mask)
    if checked is not None:
        _check_sample("the mask has", checked, shape)
    return checked


def _check_sample(what: str, values: Tensor, shape: Sequence[int]) -> None:
    if not _broadcasts(values.shape, shape):
        raise InputError(
            f"{what} shape {list(values.shape)}; expected one that broadcasts to a sample, of "
            f"shape {list(shape)}."
        )


def _broadcasts(shape: Sequence[int], larger: Sequence[int]) -> bool:
    # From the last dimension on, as in any broadcasting.
    sizes = zip(reversed(shape), reversed(larger), strict=False)
    return len(shape) <= len(larger) and all(size in (1, wanted) for size, wanted in sizes)
