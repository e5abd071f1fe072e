"""Measures: a metric of a run, with what is known of it beyond the samples."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from minnorm.evaluation import Records
from minnorm.evaluation.estimates import Array, count_distinct
from minnorm.evaluation.metrics import is_correct, known_up_to, robust_radii
from minnorm.evaluation.reaches import are_proven, fixed_radii_in, robust_up_to
from minnorm.evaluation.selection import norm_of_records, values_of
from minnorm.geometry import Norm
from minnorm.report.decisions.bounds import Bounds, mean_bounds, median_bounds, share_bounds
from minnorm.report.decisions.requirements import Metric
from minnorm.report.texts import listed, radius_text


@dataclass(frozen=True)
class Measure:
    """A metric of a run.

    Attributes:
        value: The number over the samples of the run, NaN if it is unknown.
        known: What the number lies between over the samples of the run; twice the same unless an
            attack did not search far enough or not for the closest adversarials, or nothing was
            measured.
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
    least = least_distances(records, norm)[correct]
    if metric.kind == "median":
        found = _median(distances, least, samples, known_up_to(records, norm))
    else:
        found = _mean(distances, least, samples)
    if math.isnan(found.value) and not found.remark:
        return replace(found, remark=not_closest(records, norm))
    return found


def known_distances(records: Records, norm: Norm) -> Array:
    """Return the distances, infinite beyond the radius within which an attack that failed searched.

    A failure may be nearer than a success beyond that radius.
    """
    found = values_of(records, norm)
    return np.where(found > known_up_to(records, norm), math.inf, found)


def least_distances(records: Records, norm: Norm) -> Array:
    """Return what the distances of one attack are at least.

    They are those of `known_distances`, unless the attack searches for any adversarial within a
    radius: then there may be closer ones.
    """
    found = known_distances(records, norm)
    least = robust_up_to(records, norm, robust_radii(records, norm))
    return found if least is None else np.where(np.isinf(found), found, np.minimum(least, found))


def _share(hits: Array, samples: Array) -> Measure:
    value = float(hits.mean())
    bounds = partial(share_bounds, hits, samples)
    return Measure(value, Bounds(value, value), bounds, len(hits), exact=_is_alone(samples))


def _is_alone(samples: Array) -> bool:
    """Return whether each sample has one record."""
    return count_distinct(samples) == len(samples)


def _accuracy(records: Records, radius: float, norm: Norm) -> Measure:
    """Measure an accuracy under attack.

    Where an attack has not searched it is at most a number, and at least the accuracy at a larger
    radius.
    """
    hits, proven = robust_within(records, radius, norm)
    samples = values_of(records, "index")
    most, limit = _share(hits, samples), known_up_to(records, norm)
    if np.array_equal(hits, proven):
        return most
    least = _share(proven, samples)

    def bounds(tail: float) -> Bounds:
        return Bounds(least.bounds(tail).low, most.bounds(tail).high)

    return replace(
        most,
        value=math.nan,
        known=Bounds(least.value, most.value),
        bounds=bounds,
        remark=not_closest(records, norm) if radius <= limit else beyond(limit),
    )


def robust_within(records: Records, radius: float, norm: Norm) -> tuple[Array, Array]:
    """Return which records of one attack are robust as far as is seen, and which for sure.

    The two differ beyond the radius within which an attack has searched, and at radii below it if
    the attack searches for any adversarial.

    Args:
        records: The records.
        radius: The radius.
        norm: Its norm.
    """
    until = robust_radii(records, norm)
    hits = until > radius
    if radius > known_up_to(records, norm):
        return hits, np.full(len(hits), False)
    least = robust_up_to(records, norm, until)
    return hits, hits if least is None else are_proven(until, least, radius)


def _median(distances: Array, least: Array, samples: Array, limit: float) -> Measure:
    """Measure a median; where it is infinite, it exceeds the radius of an attack that failed."""
    value, count = float(np.median(distances)), len(distances)

    def bounds(tail: float) -> Bounds:
        low = median_bounds(least, samples, tail).low
        return Bounds(min(low, limit), median_bounds(distances, samples, tail).high)

    exact = _is_alone(samples)
    if math.isinf(value) and math.isfinite(limit):
        below = float(np.sort(least)[(count - 1) // 2])
        known = Bounds(min(below, limit), math.inf)
        return Measure(value, known, bounds, count, beyond(limit), exact)
    known = Bounds(float(np.median(least)), value)
    return Measure(_if_known(value, known), known, bounds, count, exact=exact)


def _mean(distances: Array, least: Array, samples: Array) -> Measure:
    """Measure a mean over the successes."""
    found = np.isfinite(distances)
    if not found.any():
        return unknown(Bounds(0.0, math.inf), "the attack never succeeded")
    value, count = float(distances[found].mean()), int(found.sum())
    known = Bounds(float(least[found].mean()), value)

    def bounds(tail: float) -> Bounds:
        low = mean_bounds(least[found], samples[found], tail).low
        return Bounds(low, mean_bounds(distances[found], samples[found], tail).high)

    return Measure(_if_known(value, known), known, bounds, count)


def _if_known(value: float, known: Bounds) -> float:
    return value if known.low == known.high else math.nan


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


def not_closest(records: Records, norm: Norm) -> str:
    """Return the remark that attacks have searched for any adversarial, and not for the closest.

    Args:
        records: The records of one attack, or the closest of several.
        norm: The norm.

    Returns:
        The remark; empty if it is not so, or if they have found none that might be closer.
    """
    radii = fixed_radii_in(records, norm)
    if radii is None or np.array_equal(
        known_distances(records, norm), least_distances(records, norm)
    ):
        return ""
    within = listed([radius_text(radius) for radius in radii]) if radii else "another ball"
    return f"the attacks search for any adversarial within {within}, not for the closest"
