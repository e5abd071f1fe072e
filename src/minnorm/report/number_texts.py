"""Numbers as readers of a page see them."""

import math

from minnorm.evaluation import Estimate

UNKNOWN = "unknown"
"""The text of a number that is not known."""


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
