"""One-sided bounds of shares, medians and means at any level, for decisions.

The intervals of `minnorm.evaluation.estimates` are for reading: Wilson's covers 95 % on average.
These bounds are for a promise: the truth lies beyond one of them with at most the probability
`tail`. Each end has its own `tail`, so both together hold with the probability `1 - 2 * tail`.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, betaincinv

from minnorm.evaluation.estimates import (
    Array,
    count_distinct,
    mean_of,
    t_quantile,
    variance_of_mean,
)


class Bounds(NamedTuple):
    """What a number lies between."""

    low: float
    high: float


def effective_draws(
    values: Array, samples: Array, tail: float, ends: tuple[float, float] = (0.0, 1.0)
) -> float:
    """Return the number of independent draws that would estimate the mean equally well.

    With one value for each sample it is the number of values. The values of a sample with several
    targets depend on each other: then the number is smaller by the design effect, and smaller again
    because few samples do not show the design effect precisely (Korn and Graubard 1998). Samples
    that differ in all of their values may be rare and missing by chance, so the design effect is
    computed as if one more sample had been drawn, with the end that is farther from the mean.

    Args:
        values: The values, at least one.
        samples: The sample of each value.
        tail: The probability for which the number is used.
        ends: The smallest and the largest value that is possible.
    """
    count, groups = len(values), count_distinct(samples)
    if groups in (1, count):
        return float(groups)
    far = max(ends, key=lambda end: abs(end - float(np.mean(values))))
    more, grouped = with_one_more(values, samples, far)
    variance = variance_of_mean(more, grouped)
    spread = float(np.var(more))
    draws = min(spread / variance, count) if variance > 0 else float(groups)
    draws *= groups / (groups + 1)
    return draws * (t_quantile(count - 1, tail) / t_quantile(groups - 1, tail)) ** 2


def with_one_more(values: Array, samples: Array, value: float) -> tuple[Array, Array]:
    """Return values, and their samples, with those of one more sample of average size.

    Args:
        values: The values, at least one.
        samples: The sample of each value.
        value: All values of the new sample.
    """
    size = round(len(values) / count_distinct(samples))
    more = np.append(np.asarray(values, dtype=np.float64), np.full(size, value))
    return more, np.append(samples, np.full(size, samples.max() + 1))


def share_bounds(hits: Array, samples: Array, tail: float) -> Bounds:
    """Return the exact bounds of the share of true values (Clopper and Pearson 1934).

    Args:
        hits: Truth values.
        samples: The sample of each value.
        tail: The probability that the share is below the bounds, and that it is above.
    """
    if len(hits) == 0:
        return Bounds(0.0, 1.0)
    share, draws = float(np.mean(hits)), effective_draws(hits, samples, tail)
    found = share * draws
    return Bounds(
        0.0 if share == 0 else float(betaincinv(found, draws - found + 1, tail)),
        1.0 if share == 1 else float(betaincinv(found + 1, draws - found, 1 - tail)),
    )


def median_bounds(values: Array, samples: Array, tail: float) -> Bounds:
    """Return the order statistics that enclose the median: exact, whatever the distribution.

    Args:
        values: Values of at least 0, infinite ones included.
        samples: The sample of each value.
        tail: The probability that the median is below the bounds, and that it is above.
    """
    count, ordered = len(values), np.sort(values)
    if count == 0:
        return Bounds(0.0, math.inf)
    draws = int(effective_draws(values <= ordered[(count - 1) // 2], samples, tail))
    # How many of the smallest draws the median exceeds, except with the probability `tail`.
    below = int((bdtr(np.arange(draws // 2 + 1), draws, 0.5) <= tail).sum())
    if below == 0:
        return Bounds(0.0, math.inf)
    position = (below - 1) * count // draws
    return Bounds(float(ordered[position]), float(ordered[count - 1 - position]))


def mean_bounds(values: Array, samples: Array, tail: float) -> Bounds:
    """Return the bounds of the mean, approximately, see `minnorm.evaluation.estimates.mean_of`.

    Values that are equal, or nearly so, do not show what rare values would change. So each bound is
    computed as if one more sample had been drawn, with values of 0 or of twice the mean. No bound
    can include rare values that are many times the others, if the samples have none of them.

    Args:
        values: Finite values of at least 0.
        samples: The sample of each value.
        tail: The probability that the mean is below the bounds, and that it is above.
    """
    if len(values) == 0 or count_distinct(samples) == 1:
        return Bounds(0.0, math.inf)
    low = mean_of(*with_one_more(values, samples, 0.0), tail).low
    high = mean_of(*with_one_more(values, samples, 2 * float(values.mean())), tail).high
    return Bounds(low, high)
