"""Differences between two runs on the same samples: bounds and tests that use the pairing.

With several targets, the pairs of one sample depend on each other. A sample counts as one draw.
"""

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from minnorm.evaluation.estimates import (
    Array,
    count_distinct,
    t_quantile,
    variance_of_mean,
)
from minnorm.report.decisions.bounds import Bounds, effective_draws, with_one_more
from minnorm.report.decisions.pairs import PairedValues

Draws: TypeAlias = Array
"""Values of a statistic in resamples, or how often each sample is in each of them."""

_RESAMPLES = 4000
"""The number of resamples of a bootstrap."""

_FEWEST_RESAMPLES = 1000
"""The number of resamples of many samples, whose quantiles are precise enough."""

_MOST_DRAWN = 100_000_000
"""Samples that all resamples draw together, from which on there are fewer resamples."""

_AT_ONCE = 4_000_000
"""Samples that are drawn at once, to limit the memory."""

_FLIPS = 10_000
"""The number of random signs of a permutation test."""

_MOST_TERMS = 300_000_000
"""The additions from which on signs are flipped at random, and not in all ways."""

_REACH = 5.0
"""How far from the middle a median is looked for, ten standard deviations of its rank."""

_FEWEST = 6
"""The samples from which the bootstrap says anything."""

CONTINUITY = 1.0
"""The continuity correction: half a step of the difference of two counts whose sum is given."""

_STEPS = 60
"""Bisections of a limit: to the precision of a float."""

_ANYTHING = Bounds(-math.inf, math.inf)
"""What an unknown change lies between."""


def share_difference_bounds(hits: PairedValues, tail: float, correction: float = 0.0) -> Bounds:
    """Return the bounds of the difference of two paired shares, `b` minus `a`.

    They are Tango's score limits (1998), which hold for few samples and for few that differ.

    Args:
        hits: Truth values.
        tail: The probability that the difference is below the bounds, and that it is above.
        correction: The number of pairs to add to the distance from both bounds. Without, they hold
            on average, as Wilson's interval does; with `CONTINUITY`, they hold for every truth.
    """
    a, b, samples = hits
    if len(a) == 0:
        return Bounds(-1.0, 1.0)
    change = b.astype(np.int64) - a.astype(np.int64)
    draws = effective_draws(change, samples, tail, (-1.0, 1.0))
    scale = draws / len(change)
    gained, lost = scale * float((change > 0).sum()), scale * float((change < 0).sum())
    quantile = -NormalDist().inv_cdf(tail)
    low = _score_limit(gained, lost, draws, quantile, correction)
    return Bounds(low, -_score_limit(lost, gained, draws, quantile, correction))


def _score_limit(
    gained: float, lost: float, draws: float, quantile: float, correction: float
) -> float:
    """Return the difference, below the measured one, whose score is a quantile."""
    low, high = -1.0, (gained - lost) / draws
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _score(gained, lost, draws, middle, correction) > quantile:
            low = middle
        else:
            high = middle
    return low


def _score(gained: float, lost: float, draws: float, difference: float, correction: float) -> float:
    """Return Tango's statistic: the distance above a difference in its standard errors."""
    linear = (2 * draws - gained + lost) * difference - gained - lost
    constant = -lost * difference * (1 - difference)
    share = (math.sqrt(max(linear**2 - 8 * draws * constant, 0.0)) - linear) / (4 * draws)
    variance = draws * (2 * share + difference * (1 - difference))
    distance = gained - lost - draws * difference - correction
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)


def mcnemar(hits: PairedValues) -> float:
    """Return the p-value of the hypothesis that two paired shares are equal.

    With one pair for each sample this is McNemar's exact test. With several, the signs of the
    samples' net changes are flipped in all ways, as that test flips those of single changes; of
    very many samples, at random, and the p-value is at least one divided by the number of flips.
    The random numbers are always the same.

    Args:
        hits: Truth values.
    """
    a, b, samples = hits
    change = b.astype(np.int64) - a.astype(np.int64)
    _, group = np.unique(samples, return_inverse=True)
    net = np.bincount(group, weights=change)
    net = net[net != 0].astype(np.int64)
    if len(net) == 0:
        return 1.0
    if len(np.unique(np.abs(net))) == 1:
        fewer = min(int((net > 0).sum()), int((net < 0).sum()))
        return min(1.0, 2 * float(bdtr(fewer, len(net), 0.5)))
    if len(net) * int(np.abs(net).sum()) <= _MOST_TERMS:
        return _all_flips(net)
    generator = np.random.default_rng(0)
    flips = extreme = 0
    for count in _rounds(_FLIPS, len(net)):
        signs = 2 * generator.integers(0, 2, (count, len(net)), dtype=np.int8) - 1
        extreme += int((np.abs(signs @ net) >= abs(net.sum())).sum())
        flips += count
    return (extreme + 1) / (flips + 1)


def _all_flips(net: NDArray[np.int64]) -> float:
    """Return the share of all signs for which the sum of changes is as far from 0 as it is."""
    chances = np.ones(1)  # of the sum of the changes whose sign is positive
    for size in np.abs(net):
        longer = np.zeros(len(chances) + size)
        longer[:-size] += chances / 2
        longer[size:] += chances / 2
        chances = longer
    positive = (int(np.abs(net).sum()) + abs(int(net.sum()))) // 2
    return min(1.0, 2 * float(chances[positive:].sum()))


def median_changes(
    distances: PairedValues, change: Callable[[Array, Array], Array]
) -> tuple[float, Draws]:
    """Return how the median changes from one run to another, and how it does in resamples.

    Args:
        distances: Distances, infinite ones included.
        change: The change, a function of the medians of both.

    Returns:
        The change, and its bootstrap distribution.
    """
    a, b, samples = distances
    _, group = np.unique(samples, return_inverse=True)
    orders = [np.argsort(one, kind="stable") for one in (a, b)]
    ranked = [(one[order], group[order]) for one, order in zip((a, b), orders, strict=True)]
    changes = [
        change(*(_medians(*one, weights) for one in ranked))
        for weights in _resamples(group.max() + 1)
    ]
    measured = change(*(np.median(one, keepdims=True) for one in (a, b)))
    return float(measured[0]), np.concatenate(changes)


def _medians(ordered: Array, group: Array, weights: Draws, *, whole: bool = False) -> Array:
    """Return the median of ascending values in each resample.

    It is looked up among the values in the middle, and among all in case one is not there.

    Args:
        ordered: The values.
        group: The number of the sample of each value.
        weights: How often each sample is in each resample.
        whole: Whether to look it up among all values.
    """
    count, groups = len(ordered), weights.shape[1]
    # The rank of a median varies by half the root of all values times those of a sample.
    reach = count if whole else math.ceil(_REACH * count / math.sqrt(groups))
    start, end = max(count // 2 - reach, 0), min(count // 2 + reach, count)
    before = weights @ np.bincount(group[:start], minlength=groups).astype(np.float64)
    passed = before[:, None] + np.cumsum(weights[:, group[start:end]], axis=1)
    total = weights @ np.bincount(group, minlength=groups).astype(np.float64)
    lower, upper = total // 2 + total % 2, total // 2 + 1  # the ranks in the middle
    if (before >= lower).any() or (passed[:, -1] < upper).any():
        return _medians(ordered, group, weights, whole=True)
    below, above = ((passed < rank[:, None]).sum(axis=1) for rank in (lower, upper))
    medians: Array = (ordered[start + below] + ordered[start + above]) / 2
    return medians


def percentiles(changes: Draws, samples: Array, tail: float) -> Bounds:
    """Return the bounds that a bootstrap distribution leaves out at both ends.

    Percentiles of few samples are too close to each other. So less is left out, as much less as
    Student's quantiles are larger than normal ones (Hesterberg 2015). An unknown change may be
    anything. Fewer than 6 samples have no bounds.

    Args:
        changes: The changes in the resamples, NaN where unknown.
        samples: The sample of each pair.
        tail: The share of the distribution below the bounds, and above.
    """
    groups = count_distinct(samples)
    if groups < _FEWEST:
        return _ANYTHING
    student = t_quantile(groups - 1, tail) * math.sqrt(groups / (groups - 1))
    lowest, highest = (np.sort(np.where(np.isnan(changes), end, changes)) for end in _ANYTHING)
    left_out = int(NormalDist().cdf(-student) * len(changes))
    return Bounds(float(lowest[left_out]), float(highest[-1 - left_out]))


def mean_change_bounds(
    changes: Array, samples: Array, ends: tuple[float, float]
) -> Callable[[float], Bounds]:
    """Return the bounds of the mean of changes by the studentized bootstrap.

    The bootstrap of the mean in units of its own standard error holds for fewer and for more skewed
    changes than percentiles do (Efron and Tibshirani 1993, chapter 12). The bounds are at least as
    far apart as Student's, since few changes hold too few resamples. Large changes may be rare and
    missing by chance, so each bound is computed as if one more sample had been drawn.

    Args:
        changes: Finite changes, at least one.
        samples: The sample of each of them.
        ends: The change of the additional sample, for the lower and for the upper bound.

    Returns:
        The bounds, by the probability that the mean is below them, and that it is above.
    """
    _, group = np.unique(samples, return_inverse=True)
    groups = int(group.max()) + 1
    if groups < _FEWEST:
        return lambda _: _ANYTHING
    sizes = np.bincount(group).astype(np.float64)
    residuals = np.bincount(group, weights=changes - changes.mean())
    parts = []
    for weights in _resamples(groups):
        shifts, errors = _means_and_errors(weights, sizes, residuals)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(np.where(shifts == 0, 0.0, shifts / errors))
    studentized = np.sort(np.concatenate(parts))
    below, above = (with_one_more(changes, group, end) for end in ends)

    def bounds(tail: float) -> Bounds:
        left_out, student = int(tail * len(studentized)), t_quantile(groups - 1, tail)
        largest = max(float(studentized[-1 - left_out]), student)
        smallest = min(float(studentized[left_out]), -student)
        return Bounds(
            float(below[0].mean()) - largest * math.sqrt(variance_of_mean(*below)),
            float(above[0].mean()) - smallest * math.sqrt(variance_of_mean(*above)),
        )

    return bounds


def _means_and_errors(weights: Draws, sizes: Array, sums: Array) -> tuple[Array, Array]:
    """Return the mean in each resample, and its standard error.

    Args:
        weights: How often each sample is in each resample.
        sizes: The number of values of each sample.
        sums: The sum of the values of each sample.
    """
    terms = weights @ np.stack([sizes, sums, sums**2, sums * sizes, sizes**2], axis=1)
    total, mean = terms[:, 0], terms[:, 1] / terms[:, 0]
    squares = np.maximum(terms[:, 2] - 2 * mean * terms[:, 3] + mean**2 * terms[:, 4], 0.0)
    groups = len(sizes)
    return mean, np.sqrt(squares * groups / (groups - 1)) / total


def _resamples(groups: int) -> Iterator[Draws]:
    """Yield how often each sample is in each resample, for many resamples at once."""
    generator = np.random.default_rng(0)
    for count in _rounds(_RESAMPLES, groups):
        drawn = generator.integers(0, groups, (count, groups))
        drawn += groups * np.arange(count)[:, None]
        drawn = np.bincount(drawn.reshape(-1), minlength=count * groups)
        yield drawn.reshape(count, groups).astype(np.float64)


def _rounds(most: int, samples: int) -> Iterator[int]:
    """Yield how many draws of all samples to make at once, until there are enough.

    Args:
        most: The number of draws of few samples.
        samples: The number of samples in each draw.
    """
    left = max(min(most, _MOST_DRAWN // samples), _FEWEST_RESAMPLES)
    while left > 0:
        count = min(left, max(_AT_ONCE // samples, 1))
        yield count
        left -= count
