"""How metrics change from the run of a baseline to another run, measured pair by pair."""

import math
from dataclasses import replace
from functools import partial

import numpy as np

from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import known_up_to
from minnorm.evaluation.selection import values_of
from minnorm.report.decisions.bounds import Bounds
from minnorm.report.decisions.measures import Measure, beyond, unknown
from minnorm.report.decisions.paired import (
    CONTINUITY,
    mean_change_bounds,
    median_changes,
    percentiles,
    share_difference_bounds,
)
from minnorm.report.decisions.pairs import PairedValues, Pairs
from minnorm.report.decisions.requirements import Requirement

_ANY_SHARE = Bounds(-1.0, 1.0)
"""What an unknown difference of shares lies between."""

_ANY_DISTANCE = Bounds(-1.0, math.inf)
"""What an unknown relative change of distances lies between."""


def measure_change(pairs: Pairs, requirement: Requirement) -> Measure:
    """Measure how the metric of a requirement changes from the first run to the second.

    Shares change by a difference, distances relatively. As in `minnorm.report.compare`, success and
    medians are over the pairs whose sample both models classify correctly, and means over those of
    them where both attacks succeeded.

    Args:
        pairs: The records of the baseline and of the run.
        requirement: The requirement on the change.
    """
    metric, distances = requirement.metric, pairs.distances
    if metric.kind == "clean_accuracy":
        return _share_change(pairs.clean_hits)
    if metric.kind == "accuracy":
        return _accuracy_change(pairs, metric.radius or 0.0)
    if len(distances.a) == 0:
        anything = _ANY_SHARE if metric.is_share else _ANY_DISTANCE
        return unknown(anything, "no sample is classified correctly by both models")
    if metric.kind == "success":
        a, b = (values_of(part, "success")[pairs.both_correct] for part in (pairs.a, pairs.b))
        return _share_change(PairedValues(a, b, distances.samples))
    if metric.kind == "median":
        return _median_change(distances, _limit(pairs), pairs.not_closest)
    return _mean_change(distances, requirement.threshold, pairs.not_closest)


def unchanged(measured: Measure) -> Measure:
    """Return the measure of a change if the run repeats the baseline: it is 0."""
    zero = Bounds(0.0, 0.0)
    return replace(measured, value=0.0, known=zero, bounds=lambda _: zero, remark="", exact=True)


def _share_change(hits: PairedValues) -> Measure:
    value = float(hits.b.mean() - hits.a.mean())
    bounds = partial(share_difference_bounds, hits, correction=CONTINUITY)
    return Measure(value, Bounds(value, value), bounds, len(hits.a))


def _accuracy_change(pairs: Pairs, radius: float) -> Measure:
    if radius > (limit := _limit(pairs)):
        return unknown(_ANY_SHARE, beyond(limit))
    if not pairs.is_known_at(radius):
        return unknown(_ANY_SHARE, pairs.not_closest)
    return _share_change(pairs.robust_hits(radius))


def _limit(pairs: Pairs) -> float:
    """Return the radius beyond which one of the runs says nothing."""
    return min(known_up_to(part, pairs.norm) for part in (pairs.a, pairs.b))


def _median_change(distances: PairedValues, limit: float, not_closest: str) -> Measure:
    if not_closest:
        return unknown(_ANY_DISTANCE, not_closest)
    value, changes = median_changes(distances, partial(_ratio, limited=math.isfinite(limit)))
    if math.isnan(value):
        return unknown(_ANY_DISTANCE, beyond(limit))

    def bounds(tail: float) -> Bounds:
        return _at_least_lost(percentiles(changes, distances.samples, tail))

    return Measure(value, Bounds(value, value), bounds, len(distances.a))


def _ratio(a: Array, b: Array, *, limited: bool) -> Array:
    """Return relative changes of medians.

    Two infinite medians are equal, unless they are only known to exceed a radius.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        change: Array = b / a - 1
    equal = (a == b) & (np.isfinite(a) | (not limited))
    if limited:
        change = np.where(np.isinf(a) | np.isinf(b), math.nan, change)
    return np.where(equal, 0.0, change)


def _mean_change(distances: PairedValues, threshold: float, not_closest: str) -> Measure:
    """Measure the relative change of a mean.

    The bounds decide whether the mean of `b - (1 + threshold) * a` is above 0, which means that the
    change is above the threshold: the bootstrap of a mean is better than that of a ratio.
    """
    if not_closest:
        return unknown(_ANY_DISTANCE, not_closest)
    found = np.isfinite(distances.a) & np.isfinite(distances.b)
    a, b, samples = (one[found] for one in distances)
    if not a.any():
        return unknown(_ANY_DISTANCE, "no sample has an adversarial in both runs")
    mean = float(a.mean())
    value = float(b.mean()) / mean - 1
    # A sample that loses its whole distance, and one that gains as much.
    ends = (-(1 + threshold) * mean, (1 - threshold) * mean)
    excess = mean_change_bounds(b - (1 + threshold) * a, samples, ends)

    def bounds(tail: float) -> Bounds:
        low, high = excess(tail)
        return _at_least_lost(Bounds(low / mean + threshold, high / mean + threshold))

    return Measure(value, Bounds(value, value), bounds, len(a))


def _at_least_lost(bounds: Bounds) -> Bounds:
    """Return the bounds of a relative change, which cannot be below -1."""
    return Bounds(max(bounds.low, _ANY_DISTANCE.low), bounds.high)
