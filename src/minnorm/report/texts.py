"""Numbers, radii, norms and names of attacks as readers see them."""

import math
import re
from collections.abc import Sequence

from minnorm.evaluation import Estimate
from minnorm.geometry import Norm

UNKNOWN = "unknown"
"""The text of a number that is not known."""

_NORM_NAMES: dict[Norm, str] = {"l0": "L0", "l1": "L1", "l2": "L2", "linf": "L∞"}

_LONG_NUMBER = re.compile(r"(?<![\w.])0\.\d{5,}(?![\w.])")
"""A number of many digits in the name of an attack, which may be a fraction of gray levels."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number and its noun: `1 sample`, `1,000 samples`.

    Args:
        count: The number.
        noun: The noun for 1.
        plural: The noun for other numbers; by default with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def rounded_up(count: float) -> int:
    """Round a number of samples up to two digits.

    Args:
        count: The number, at least 1.
    """
    unit: int = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return math.ceil(count / unit) * unit


def listed(words: Sequence[str]) -> str:
    """Join words as in a sentence: `a, b and c`.

    Args:
        words: The words, at least one.
    """
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), words[-1]])


def norm_name(norm: Norm) -> str:
    """Return a norm as readers write it, for example `L∞`."""
    return _NORM_NAMES[norm]


def radius_text(radius: float) -> str:
    """Format a radius: as a fraction of gray levels, `8/255`, where that is exact and shorter."""
    short = f"{radius:g}"
    if not math.isfinite(radius):
        return short
    levels = round(4 * 255 * radius) / 4  # halves and quarters of a gray level are usual, too
    fraction = f"{levels:g}/255"
    return fraction if levels / 255 == radius and len(fraction) < len(short) else short


def attack_text(name: str) -> str:
    """Return the name of an attack, with long numbers as fractions of gray levels."""
    return _LONG_NUMBER.sub(_in_gray_levels, name)


def _in_gray_levels(number: re.Match[str]) -> str:
    text = radius_text(float(number[0]))
    return text if "/" in text else number[0]


def percent(share: float) -> str:
    """Return a share in percent, for example `93.3 %`."""
    return UNKNOWN if math.isnan(share) else f"{100 * share:.1f} %"


def distance(value: float, limit: float = math.inf) -> str:
    """Return a distance with four significant digits.

    Args:
        value: The distance; infinite if an attack failed.
        limit: What an infinite distance is known to exceed.
    """
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "not found" if math.isinf(limit) else f"> {limit:g}"
    return f"{value:.4g}"


def percent_interval(estimate: Estimate) -> str:
    """Return the interval of a share, empty if it is not known."""
    if math.isnan(estimate.low):
        return ""
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f} %"


def distance_interval(estimate: Estimate, limit: float = math.inf) -> str:
    """Return the interval of a distance, empty if it is not known."""
    if math.isnan(estimate.low):
        return ""
    high = "∞" if math.isinf(estimate.high) else f"{estimate.high:.3g}"
    if math.isinf(estimate.high) and math.isfinite(limit):
        high = f"more than {limit:g}"
    low = "∞" if math.isinf(estimate.low) else f"{estimate.low:.3g}"
    return f"{low} to {high}"
