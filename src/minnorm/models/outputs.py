"""What functions of other libraries return, checked: rows of scores, or one-hot rows.

Shapes: `b` samples, `c` classes. A row of NaN stands for no class.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from minnorm.errors import InputError

Scores: TypeAlias = NDArray[np.floating[Any]]
"""Scores `[b c]`: the class with the largest one is the prediction."""

LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)
"""Smaller probabilities count as this one, about 1e-38: a logarithm of 0 is infinite."""

_LARGEST_SCORE = 1e30
"""Infinite scores become this one, so that their differences are numbers."""

_ROUNDING = 1e-2
"""How far the sum of the probabilities of a sample may be from 1."""

_SHOWN = 5
"""Classes in a message."""


def class_names(classes: Any) -> list[Hashable] | None:
    """Return the classes that a user gave, in order: the first one has the number 0.

    Args:
        classes: Their number, their names, or `None` if they are not known.

    Raises:
        InputError: If they are fewer than two, or two have the same name.
    """
    if classes is None:
        return None
    if isinstance(classes, Integral) and not isinstance(classes, bool):
        names: list[Hashable] = list(range(int(classes)))
    elif isinstance(classes, Sequence | np.ndarray | Tensor) and not isinstance(classes, str):
        array = np.asarray(classes)
        names = array.tolist() if array.ndim == 1 else []
    else:
        names = []
    if len(names) < 2:
        raise InputError(
            f"classes={_shown(classes)}: expected the number of classes, at least 2, or their "
            "names in order."
        )
    if len(set(names)) < len(names):
        raise InputError(f"classes={_shown(classes)}: two of them are the same.")
    return names


def logits_of(output: Any, samples: int, classes: int | None = None) -> Scores:
    """Return logits, or other scores, as they are; one column becomes two, 0 and itself.

    Args:
        output: What a function returned.
        samples: The number of its inputs.
        classes: The number of classes; `None` if any is right.

    Raises:
        InputError: If the output is no such array.
    """
    scores = _columns(output, samples, "logits")
    if scores.shape[1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    _check_classes(scores, classes)
    scores[np.isnan(scores).any(1)] = np.nan
    return np.clip(scores, -_LARGEST_SCORE, _LARGEST_SCORE, out=scores)


def log_probabilities_of(output: Any, samples: int, classes: int | None = None) -> Scores:
    """Return the logarithms of probabilities; one column is the probability of class 1 of two.

    Args:
        output: What a function returned.
        samples: The number of its inputs.
        classes: The number of classes; `None` if any is right.

    Raises:
        InputError: If the output is no such array, or its rows are no probabilities.
    """
    values = _columns(output, samples, "probabilities")
    if values.shape[1] == 1:
        values = np.concatenate([1 - values, values], axis=1)
    _check_classes(values, classes)
    known = ~np.isnan(values).any(1)
    _check_probabilities(values[known])
    values[~known] = np.nan
    # The largest one is at least 1 / c, so the floor never changes a prediction.
    return np.log(np.maximum(values, LEAST_PROBABILITY))


def one_hot_of(output: Any, samples: int, known: Mapping[Hashable, int]) -> Scores:
    """Return one-hot rows of predicted classes.

    Args:
        output: What a function returned: one class for each input; `None` or NaN for no class.
        samples: The number of its inputs.
        known: The numbers of the classes, by name.

    Raises:
        InputError: If the output is no such array, or a class is none of these.
    """
    positions = class_positions(output, samples, known)
    rows = np.zeros((samples, len(known)), dtype=np.float32)
    has_class = positions >= 0
    rows[has_class, positions[has_class]] = 1
    rows[~has_class] = np.nan
    return rows


def class_positions(output: Any, samples: int, known: Mapping[Hashable, int]) -> NDArray[np.int64]:
    """Return the numbers of predicted classes, -1 for no class.

    Args:
        output: What a function returned: one class for each input; `None` or NaN for no class.
        samples: The number of its inputs.
        known: The numbers of the classes, by name.

    Raises:
        InputError: If the output is no such array, or a class is none of these.
    """
    values = _array(output)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (samples,):
        raise InputError(
            f"the function returned an output of shape {list(values.shape)} for {samples} inputs; "
            f"expected one class for each, [{samples}]."
            + (" Are these scores of the classes? Say what they are." if values.ndim == 2 else "")
        )
    return np.array([_position(value, known) for value in values.tolist()], dtype=np.int64)


def settled(
    scores: Scores, dtype: Any, winners: NDArray[np.int64] | None = None
) -> NDArray[np.floating[Any]]:
    """Return scores in a dtype, in which the predicted class alone has the largest one.

    Rounding to fewer digits may make two scores equal, and then other code may choose the other
    class. Such a score of the predicted class becomes the next larger number.

    Args:
        scores: The scores, `[b c]`.
        dtype: The dtype of the result.
        winners: The predicted classes, -1 for none, `[b]`; by default those with the largest score,
            the first of several.
    """
    rounded = scores.astype(dtype)
    if winners is None:
        winners = np.where(np.isnan(scores).any(1), -1, scores.argmax(1))
    rounded[winners < 0] = np.nan
    rows = np.flatnonzero(~np.isnan(rounded).any(1))
    columns = winners[rows]
    others = rounded[rows]
    others[np.arange(len(rows)), columns] = -np.inf
    best = others.max(1, initial=-np.inf)
    least = np.nextafter(best, np.asarray(np.inf, dtype=rounded.dtype))
    rounded[rows, columns] = np.maximum(rounded[rows, columns], least)
    return rounded


def _columns(output: Any, samples: int, what: str) -> Scores:
    """Return a copy of an output `[b c]` of numbers as floating-point numbers."""
    values = _array(output)
    if values.dtype.kind not in "biuf":
        found = "text" if values.dtype.kind in "US" else "objects that are not numbers"
        raise InputError(f"the function returned {found}; expected {what} [{samples}, classes].")
    if values.ndim != 2 or len(values) != samples or values.shape[1] == 0:
        advice = ""
        if values.shape == (samples,):
            advice = (
                " If these are classes, say outputs='classes'; if they belong to class 1 of two, "
                "return a column, output[:, None]."
            )
        raise InputError(
            f"the function returned an output of shape {list(values.shape)} for {samples} inputs; "
            f"expected {what} [{samples}, classes].{advice}"
        )
    # NumPy computes float16 slowly, and PyTorch knows no wider dtype than float64.
    return values.astype(np.float64 if values.dtype not in (np.float16, np.float32) else np.float32)


def _array(output: Any) -> NDArray[Any]:
    """Return an output as an array."""
    if isinstance(output, Tensor):
        values = output.detach().cpu()
        narrow = values.is_floating_point() and values.itemsize < 4  # NumPy has no bfloat16
        return (values.float() if narrow else values).numpy()
    try:
        array = np.asarray(output)
    except ValueError as error:
        raise InputError(
            "the function returned rows of different lengths; expected an array, a tensor or a "
            "list."
        ) from error
    if array.ndim == 0:
        raise InputError(
            f"the function returned a {type(output).__name__}; expected an array, a tensor or a "
            "list with one row for each input."
        )
    return array


def _check_classes(scores: Scores, classes: int | None) -> None:
    found = scores.shape[1]
    if classes is not None and found != classes:
        raise InputError(f"the function returned {found} columns; expected {classes}, the classes.")


def _check_probabilities(values: Scores) -> None:
    """Check rows without NaN."""
    if len(values) == 0:
        return
    low, high = values.min(), values.max()
    sums = values.sum(1, dtype=np.float64)
    least, most = sums.min(), sums.max()
    if low >= -_ROUNDING and max(abs(least - 1), abs(most - 1)) <= _ROUNDING:
        return
    if low >= -_ROUNDING and max(abs(least - 100), abs(most - 100)) <= 100 * _ROUNDING:
        raise InputError("the function returned percentages: divide them by 100.")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise InputError(
            f"the function returned values from {low:.4g} to {high:.4g}, which are no "
            "probabilities: say outputs='logits'."
        )
    raise InputError(
        f"the function returned probabilities of classes whose sums are from {least:.4g} to "
        f"{most:.4g}; expected 1. If each one is a sigmoid, say outputs='logits' and return the "
        "values before it; if classes are missing, return all."
    )


def _position(value: Any, known: Mapping[Hashable, int]) -> int:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return -1
    found = known.get(value)
    if found is not None:
        return found
    names = list(known)
    advice = ""
    if names == list(range(len(names))):
        if isinstance(value, str):
            advice = " Give the names of the classes in order: classes=['cat', 'dog']."
        elif value == len(names):
            advice = f" If classes are counted from 1, say classes=range(1, {len(names) + 1})."
    raise InputError(
        f"the function returned the class {value!r}, which is none of {_shown(names)}.{advice}"
    )


def _shown(names: Any) -> str:
    """Return the first classes for a message."""
    if not isinstance(names, list | tuple) or len(names) <= _SHOWN:
        return " ".join(repr(names).split())[:200]
    return f"{', '.join(map(repr, names[:_SHOWN]))}, ... ({len(names)} classes)"
