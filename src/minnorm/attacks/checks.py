"""What an attack asks of its arguments before it starts, in one place for all of them."""

import inspect
import math
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minnorm.acceleration.accelerated import check_callable, original
from minnorm.geometry import Bounds


def check_attack(attack: object) -> None:
    """Checks that something can be called as an attack is.

    Raises:
        ValueError: If it is no function, or takes other arguments.
    """
    if not callable(attack):
        raise ValueError(
            f"{attack!r} is no attack: give a function such as minnorm.attacks.ddn; "
            "minnorm.attacks.load_attack makes one of a spec."
        )
    if isinstance(attack, nn.Module):
        raise ValueError(f"a {type(attack).__name__} is a model, no attack.")
    try:
        signature = inspect.signature(attack)
        signature.bind(..., ..., ..., targeted=False, bounds=(0.0, 1.0), generator=None)
    except (TypeError, ValueError) as error:
        if isinstance(error, ValueError) and not isinstance(attack, partial):
            return  # not every callable shows what it takes
        raise ValueError(
            f"{getattr(attack, '__name__', attack)!s} cannot be called as an attack ({error}): it "
            "is called with (model, inputs, labels, targeted=..., bounds=..., generator=...). "
            "functools.partial presets other parameters; combinators are called first, for "
            "example bounded(ddn, epsilon=0.5)."
        ) from error


def check_mode(model: object) -> None:
    """Checks that no part of a module is in training mode.

    Batch norm would mix the samples of a batch and change its statistics, dropout would answer
    differently each time, and what parts of a user's own do cannot be seen.

    Raises:
        ValueError: If one is.
    """
    model = original(model)
    if not isinstance(model, nn.Module):
        return
    for name, part in model.named_modules():
        if part.training:
            where = f" (its part {name!r}, a {type(part).__name__})" if name else ""
            raise ValueError(f"the model is in training mode{where}: call model.eval() first.")


def check_problem(
    model: object, inputs: Any, labels: Any, bounds: Bounds, starts: Any = None
) -> None:
    """Checks what every attack takes.

    Raises:
        ValueError: If the model is no function; see `check_mode` and `check_samples`.
    """
    check_callable(model)
    check_mode(model)
    check_samples(inputs, labels, bounds, starts)


def check_samples(inputs: Any, labels: Any, bounds: Any, starts: Any = None) -> None:
    """Checks the tensors that every attack takes.

    Raises:
        ValueError: If one is no tensor, a shape or a dtype is wrong, the bounds are no interval, or
            an input or a start is NaN or outside the bounds.
    """
    pair = isinstance(bounds, tuple | list) and len(bounds) == 2
    numbers = pair and all(isinstance(bound, Real) for bound in bounds)
    if not numbers or not bounds[0] < bounds[1]:
        raise ValueError(f"bounds={bounds}: expected (low, high), two numbers with low < high.")
    for name, values in (("inputs", inputs), ("labels", labels), ("starts", starts)):
        if not isinstance(values, Tensor) and not (name == "starts" and values is None):
            raise ValueError(
                f"{name} are a {type(values).__name__}; expected a torch tensor, for example "
                f"torch.as_tensor({name})."
            )
    if inputs.ndim < 1 or not inputs.is_floating_point():
        raise ValueError(
            f"inputs have shape {list(inputs.shape)} and dtype {inputs.dtype}; expected floating "
            "point values [b, ...]."
        )
    if labels.shape != inputs.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(
            f"labels have shape {list(labels.shape)} and dtype {labels.dtype}; expected int64 of "
            f"shape [{len(inputs)}], one for each input."
        )
    if labels.device != inputs.device:
        raise ValueError(f"inputs are on {inputs.device}, labels on {labels.device}.")
    if inputs.numel() == 0 and len(inputs) > 0:
        raise ValueError(f"inputs have shape {list(inputs.shape)}: the samples hold no values.")
    _check_inside("inputs", inputs, bounds)
    if starts is not None:
        if starts.shape != inputs.shape or starts.dtype != inputs.dtype:
            raise ValueError(
                f"starts are {starts.dtype} of shape {list(starts.shape)}; expected the same as "
                f"the inputs, {inputs.dtype} of shape {list(inputs.shape)}."
            )
        _check_inside("starts", starts, bounds)


def check_count(name: str, value: Any, least: int = 1, most: int | None = None) -> None:
    """Checks a whole number.

    Raises:
        ValueError: If it is not one, or is below `least` or above `most`.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or value < least
        or (most is not None and value > most)
    ):
        limit = "" if most is None else f" and at most {most}"
        raise ValueError(f"{name}={value!r}: expected a whole number of at least {least}{limit}.")


def check_number(
    name: str, value: Any, low: float, high: float = math.inf, *, inclusive: bool = False
) -> None:
    """Checks a number.

    Raises:
        ValueError: If it is not one, or is not strictly between `low` and `high`; with `inclusive`
            it may be `low`.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.integer | np.floating)
        or not value < _LARGEST
        or not (low < value < high or (inclusive and value == low))
    ):
        least = f"of at least {low:g}" if inclusive else f"above {low:g}"
        limit = f" and below {high:g}" if math.isfinite(high) else ""
        raise ValueError(f"{name}={value!r}: expected a number {least}{limit}.")


_LARGEST = 1e30
"""Far from what float32 cannot hold."""


def check_levels(levels: object, bounds: Bounds) -> None:
    """Checks the number of grey levels to which an attack rounds, `None` for no rounding.

    Raises:
        ValueError: If it is below 2, or the bounds are infinite.
    """
    if levels is None:
        return
    check_count("levels", levels, least=2)
    if not math.isfinite(bounds[1] - bounds[0]):
        raise ValueError(f"levels={levels} needs finite bounds, not {bounds}.")


def _check_inside(name: str, values: Tensor, bounds: Bounds) -> None:
    if values.numel() == 0:
        return
    # aminmax passes NaN on, and every comparison with NaN is false. The bounds are rounded as the
    # values are: 0.1 is no number of float32.
    least, most = (float(value) for value in values.detach().aminmax())
    low, high = (float(bound) for bound in torch.tensor(bounds, dtype=values.dtype))
    if not low <= least <= most <= high or math.isinf(least) or math.isinf(most):
        if math.isnan(least):
            raise ValueError(f"{name} hold NaN: remove those samples or mend them.")
        raise ValueError(
            f"{name} go from {least:g} to {most:g}, outside the bounds {bounds}: scale them "
            "(normalisation belongs into the model), or give the bounds that they have."
        )
