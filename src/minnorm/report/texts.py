"""Numbers, radii, norms and names of attacks as readers see them."""

import functools
import math
import re
from collections.abc import Sequence

from minnorm.attacks import load_attack
from minnorm.attacks.composition import access_needed
from minnorm.errors import InputError
from minnorm.evaluation import Estimate
from minnorm.geometry import Norm

UNKNOWN = "unknown"
"""The text of a number that is not known."""

INFINITE = "∞"
"""The text of an infinite number."""

AT_MOST = "≤ "
"""What is before a number that is only known to be at most that."""

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


@functools.cache
def needs_gradients(attack: str) -> bool:
    """Return whether an attack is known to need gradients, by its spec.

    Args:
        attack: A spec, or any other name.
    """
    try:
        return access_needed(load_attack(attack)) == "gradients"
    except InputError:  # a name that the user chose, or code
        return False


def are_queries(forwards: float, backwards: float, *, gradients: bool = False) -> bool:
    """Return whether the passes of attacks are queries: forward passes, and no backward pass.

    Args:
        forwards: The mean number of forward passes, 0 if the cost is unknown.
        backwards: The mean number of backward passes.
        gradients: Whether an attack needs gradients. Of a model that has none, it may get none.
    """
    return forwards > 0 and backwards == 0 and not gradients


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


def decimals(value: float, digits: int, *, signed: bool = False) -> str:
    """Return a number with digits after the point: infinity as `∞`, and zero without a sign.

    Args:
        value: The number; not NaN.
        digits: How many digits.
        signed: Whether a number above 0 has a sign, too.
    """
    text = INFINITE if math.isinf(value) else f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return f"{'-' if value < 0 else '+' if signed else ''}{text}"


def percent(share: float) -> str:
    """Return a share in percent, for example `93.3 %`."""
    return UNKNOWN if math.isnan(share) else f"{decimals(100 * share, 1)} %"


def distance(value: float, limit: float = math.inf) -> str:
    """Return a distance with four significant digits, `∞` if it is infinite.

    Args:
        value: The distance; infinite if an attack failed.
        limit: What an infinite distance is known to exceed.
    """
    return UNKNOWN if math.isnan(value) else _up_to(value, 4, limit)


def percent_of(estimate: Estimate) -> str:
    """Return an estimate of a share in percent: `93.3 %`, or `≤ 93.3 %` if it may be less."""
    return (AT_MOST if estimate.is_upper_bound else "") + percent(estimate.value)


def distance_of(estimate: Estimate, limit: float = math.inf) -> str:
    """Return an estimate of a distance, see `distance`, with `≤` if it may be less.

    Args:
        estimate: The estimate.
        limit: What an infinite distance is known to exceed.
    """
    return (AT_MOST if estimate.is_upper_bound else "") + distance(estimate.value, limit)


def percent_interval(estimate: Estimate) -> str:
    """Return the interval of a share, empty if it is not known."""
    if math.isnan(estimate.low):
        return ""
    return f"{decimals(100 * estimate.low, 1)} to {decimals(100 * estimate.high, 1)} %"


def distance_interval(estimate: Estimate, limit: float = math.inf) -> str:
    """Return the interval of a distance, empty if it is not known."""
    if math.isnan(estimate.low):
        return ""
    return f"{_up_to(estimate.low, 3, limit)} to {_up_to(estimate.high, 3, limit)}"


def beyond(limit: float) -> str:
    """Return an infinite number, of which is known that it exceeds a limit: `∞` or `> 8/255`."""
    return f"> {radius_text(limit)}" if math.isfinite(limit) else INFINITE


def _up_to(value: float, digits: int, limit: float) -> str:
    """Return a number with significant digits."""
    return beyond(limit) if math.isinf(value) else f"{value:.{digits}g}"
