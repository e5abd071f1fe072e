"""Checks of numbers, counts and choices: the same message everywhere for the same mistake."""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from minnorm.errors import InputError

_LARGEST = 1e30
"""The largest number accepted: float32 holds numbers up to 3e38, and their products must fit."""


def check_count(name: str, value: Any, least: int = 1, most: int | None = None) -> None:
    """Check a whole number.

    Args:
        name: The name of the argument, for the message.
        value: The value to check.
        least: The smallest value accepted.
        most: The largest value accepted; `None` for no limit.

    Raises:
        InputError: If the value is not a whole number, below `least` or above `most`.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limit = "" if most is None else f" and at most {most}"
        raise InputError(f"{name}={value!r}: expected a whole number of at least {least}{limit}.")


def check_number(
    name: str, value: Any, low: float, high: float = math.inf, *, inclusive: bool = False
) -> None:
    """Check a number.

    Args:
        name: The name of the argument, for the message.
        value: The value to check.
        low: The lower limit; accepted itself only with `inclusive`.
        high: The upper limit; never accepted itself.
        inclusive: Whether `low` is accepted.

    Raises:
        InputError: If the value is not a number, not finite, or outside the limits.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    inside = number and value < _LARGEST
    if not inside or not (low < value < high or (inclusive and value == low)):
        least = f"of at least {low:g}" if inclusive else f"above {low:g}"
        limit = f" and below {high:g}" if math.isfinite(high) else ""
        raise InputError(f"{name}={value!r}: expected a number {least}{limit}.")


def check_flag(name: str, value: Any) -> None:
    """Check that a value is `True` or `False`.

    Args:
        name: The name of the argument, for the message.
        value: The value to check.

    Raises:
        InputError: If the value is neither `True` nor `False`.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name}={value!r}: expected True or False.")


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Check that a value is one of a few words.

    Args:
        name: The name of the argument, for the message.
        value: The value to check.
        choices: The words accepted.

    Raises:
        InputError: If the value is none of them.
    """
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name}={value!r}: expected one of {', '.join(map(repr, known))}.")
