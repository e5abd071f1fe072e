"""Round numbers: 1, 2, 5, 10, 20, 50 and so on."""

import math
from collections.abc import Sequence

ONE_TWO_FIVE = (1.0, 2.0, 5.0)
"""The usual first digits of round numbers, ascending."""


def round_numbers(low: float, high: float, digits: Sequence[float] = ONE_TWO_FIVE) -> list[float]:
    """Return the round numbers from one number to another, ascending.

    Args:
        low: The smallest number, above 0.
        high: The largest number.
        digits: What is multiplied by the powers of 10: numbers from 1 up to 10, ascending.
    """
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    # Written as text, since 3 * 0.1 is not 0.3.
    numbers = [float(f"{digit!r}e{exponent}") for exponent in exponents for digit in digits]
    return [number for number in numbers if low <= number <= high]


def round_up(value: float, digits: Sequence[float] = ONE_TWO_FIVE) -> float:
    """Return the smallest round number that is at least a value above 0."""
    return round_numbers(value, 11 * value, digits)[0]


def round_down(value: float, digits: Sequence[float] = ONE_TWO_FIVE) -> float:
    """Return the largest round number that is at most a value above 0."""
    return round_numbers(value / 11, value, digits)[-1]
