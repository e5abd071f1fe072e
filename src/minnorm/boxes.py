"""Boxes: the bounds of the inputs, and which features can change. Pure functions.

Shapes: `b` is the batch, `*d` the shape of one sample.
"""

import hashlib
import math
from typing import TypeAlias, TypeGuard, cast

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

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


def rows(values: Shaped[Tensor, "b *d"]) -> Shaped[Tensor, "b n"]:
    """Return each sample as one row, also for samples without dimensions and empty batches."""
    return values.flatten(1) if values.ndim > 1 else values.unsqueeze(1)


def is_interval(bounds: Bounds) -> TypeGuard[Interval]:
    """Return whether the bounds are two numbers."""
    return not any(isinstance(bound, Tensor) for bound in bounds)


def for_batch(bounds: Bounds, inputs: Float[Tensor, "b *d"]) -> Bounds:
    """Return tensor bounds as `[b *d]`, or with dimensions of 1, in the dtype of the inputs.

    Two numbers become numbers of Python: with those of NumPy, tensors compute something else.
    """
    if is_interval(bounds):
        return float(bounds[0]), float(bounds[1])
    low, high = (_for_batch(bound, inputs) for bound in bounds)
    return low, high


def _for_batch(values: float | Tensor, inputs: Tensor) -> Tensor:
    if not isinstance(values, Tensor):
        return inputs.new_full((1,) * inputs.ndim, values)
    missing = inputs.ndim - values.ndim
    return values.to(inputs.dtype).to(inputs.device).view(*(1,) * missing, *values.shape)


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


def is_finite(bounds: Interval) -> bool:
    """Return whether the bounds have a width: both are finite, and so is their difference."""
    return math.isfinite(bounds[1] - bounds[0])


def span(bounds: Interval) -> float:
    """Return the width `high - low` of the bounds, or 1 if a bound is infinite."""
    return bounds[1] - bounds[0] if is_finite(bounds) else 1.0


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
    """Return the points halfway between the bounds; infinite where a bound is."""
    if is_interval(bounds):
        center = bounds[0] + span(bounds) / 2 if is_finite(bounds) else math.inf
        return torch.full_like(inputs, center)
    low, high = _tensors(bounds)
    width = high - low
    return torch.where(width.isfinite(), low + width / 2, torch.inf).expand_as(inputs)


def common(bounds: Bounds) -> Bounds:
    """Return the bounds of all samples of a batch together, `[1 *d]` for tensors."""
    if is_interval(bounds):
        return bounds
    low, high = _tensors(bounds)
    return low.amin(0, keepdim=True), high.amax(0, keepdim=True)


def interval(bounds: Bounds) -> Interval:
    """Return the lowest and the highest bound of any feature."""
    low, high = bounds
    return (
        float(low.min() if isinstance(low, Tensor) else low),
        float(high.max() if isinstance(high, Tensor) else high),
    )


def copied(bounds: Bounds) -> Bounds:
    """Return bounds whose tensors are copies."""
    low, high = (bound.clone() if isinstance(bound, Tensor) else bound for bound in bounds)
    return low, high


def fingerprint(*tensors: Tensor) -> str:
    """Return the SHA-256 of a mask, or of bounds of one shape: of the shape and the values."""
    content = hashlib.sha256(repr(list(tensors[0].shape)).encode())
    for one in tensors:
        content.update(one.cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


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
    low, high = bounds
    steps = (levels - 1) / (high - low)
    # Rounding errors of the last operations can leave the bounds.
    rounded = clip_(((inputs - low) * steps).round_().div_(steps).add_(low), bounds)
    changeable = free(bounds)
    return rounded if changeable is None else torch.where(changeable, rounded, inputs)
