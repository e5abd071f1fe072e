"""Measures: a metric of a run, with what is known of it beyond the samples."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from minnorm.evaluation import Records
from minnorm.evaluation.estimates import Array, count_distinct
from minnorm.evaluation.metrics import is_correct, known_up_to, robust_radii
from minnorm.evaluation.selection import norm_of_records, values_of
from minnorm.geometry import Norm
from minnorm.report.decisions.bounds import Bounds, mean_bounds, median_bounds, share_bounds
from minnorm.report.decisions.requirements import Metric


@dataclass(frozen=True)
class Measure:
    """A metric of a run.

    Attributes:
        value: The number over the samples of the run, NaN if it is unknown.
        known: What the number lies between over the samples of the run; twice the same unless an
            attack did not search far enough, or nothing was measured.
        bounds: The bounds of the number over all samples like these, by the probability that it is
            below, and that it is above.
        count: The number of records that it is over.
        remark: Why it is not known better, whatever the number of samples; empty if it is.
        exact: Whether the bounds hold with these probabilities whatever the distribution, and not
            only approximately.
    """

    value: float
    known: Bounds
    bounds: Callable[[float], Bounds]
    count: int
    remark: str = ""
    exact: bool = False


def measure(records: Records, metric: Metric) -> Measure:
    """Measure a metric.

    Args:
        records: Records of one attack, or the closest of several.
        metric: The metric.

    Raises:
        InputError: If the attacks minimize several norms, and the metric names none.
    """
    if metric.kind == "clean_accuracy":
        samples, first = np.unique(values_of(records, "index"), return_index=True)
        return _share(is_correct(records)[first], samples)
    norm = norm_of_records(records, metric.norm)
    if metric.kind == "accuracy":
        return _accuracy(records, metric.radius or 0.0, norm)
    correct = is_correct(records)
    samples = values_of(records, "index")[correct]
    if len(samples) == 0:
        known = Bounds(0.0, 1.0 if metric.is_share else math.inf)
        return unknown(known, "the model classifies no sample correctly")
    if metric.kind == "success":
        return _share(values_of(records, "success")[correct], samples)
    distances = known_distances(records, norm)[correct]
    if metric.kind == "median":
        return _median(distances, samples, known_up_to(records, norm))
    return _mean(distances, samples)


def known_distances(records: Records, norm: Norm) -> Array:
    """Return the distances, infinite beyond the radius within which an attack that failed searched.

    A failure may be nearer than a success beyond that radius.
    """
    found = values_of(records, norm)
    return np.where(found > known_up_to(records, norm), math.inf, found)


def _share(hits: Array, samples: Array) -> Measure:
    value = float(hits.mean())
    bounds = partial(share_bounds, hits, samples)
    return Measure(value, Bounds(value, value), bounds, len(hits), exact=_is_alone(samples))


def _is_alone(samples: Array) -> bool:
    """Return whether each sample has one record."""
    return count_distinct(samples) == len(samples)


def _accuracy(records: Records, radius: float, norm: Norm) -> Measure:
    """Measure an accuracy under attack; beyond the radius of an attack, it is at most a number."""
    known = _share(robust_radii(records, norm) > radius, values_of(records, "index"))
    limit = known_up_to(records, norm)
    if radius <= limit:
        return known

    def bounds(tail: float) -> Bounds:
        return Bounds(0.0, known.bounds(tail).high)

    return replace(
        known,
        value=math.nan,
        known=Bounds(0.0, known.value),
        bounds=bounds,
        remark=beyond(limit),
    )


def _median(distances: Array, samples: Array, limit: float) -> Measure:
    """Measure a median; where it is infinite, it exceeds the radius of an attack that failed."""
    value, count = float(np.median(distances)), len(distances)

    def bounds(tail: float) -> Bounds:
        found = median_bounds(distances, samples, tail)
        return Bounds(min(found.low, limit), found.high)

    exact = _is_alone(samples)
    if math.isinf(value) and math.isfinite(limit):
        below = float(np.sort(distances)[(count - 1) // 2])
        known = Bounds(min(below, limit), math.inf)
        return Measure(value, known, bounds, count, beyond(limit), exact)
    return Measure(value, Bounds(value, value), bounds, count, exact=exact)


def _mean(distances: Array, samples: Array) -> Measure:
    """Measure a mean over the successes."""
    found = np.isfinite(distances)
    if not found.any():
        return unknown(Bounds(0.0, math.inf), "the attack never succeeded")
    value = float(distances[found].mean())
    bounds = partial(mean_bounds, distances[found], samples[found])
    return Measure(value, Bounds(value, value), bounds, int(found.sum()))


def unknown(known: Bounds, remark: str) -> Measure:
    """Return a measure of which only the range is known."""
    return Measure(math.nan, known, lambda _: known, 0, remark, exact=True)


def beyond(limit: float) -> str:
    """Return the remark that an attack did not search far enough.

    Args:
        limit: The radius within which it searched, with a tolerance for rounding.
    """
    exact = float(f"{limit:.4g}")
    return f"an attack that failed did not search beyond {exact:g}"
