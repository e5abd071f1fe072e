"""Bounds and masks as users give them: checked, and converted to numbers and tensors."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from minnorm.boxes import Bounds, is_interval
from minnorm.errors import InputError


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
    """Return bounds given as numbers, tensors or arrays as numbers of Python or tensors.

    Raises:
        InputError: If they are not bounds, see `check_bounds`.
    """
    if isinstance(bounds, tuple | list):
        bounds = tuple(
            torch.as_tensor(one) if isinstance(one, np.ndarray) and one.dtype.kind in "fiu" else one
            for one in bounds
        )
    check_bounds(bounds)
    low, high = (bound if isinstance(bound, Tensor) else float(bound) for bound in bounds)
    return low, high


def _is_bound(bound: object) -> bool:
    if isinstance(bound, Tensor):
        return bound.dtype != torch.bool and not bound.is_complex()
    if not isinstance(bound, Real) or isinstance(bound, bool):
        return False
    try:
        float(bound)
    except OverflowError:  # of a whole number with too many digits
        return False
    return True


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
    """Return a mask of the samples of a data set as a tensor; `None` if all features may change.

    Args:
        mask: A boolean tensor or array.
        shape: The shape of a sample.

    Raises:
        InputError: If it is not boolean, does not broadcast to a sample, or lets no feature change.
    """
    checked = mask_of(mask)
    if checked is None:
        return None
    _check_sample("the mask has", checked, shape)
    if not checked.any():
        raise InputError(
            "the mask is false for all features, so an attack could change none: expected true for "
            "the features that may change. If true means fixed, pass its opposite, ~mask."
        )
    return None if checked.all() else checked


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
