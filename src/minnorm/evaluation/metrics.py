"""Metrics: pure functions of records.

Each takes the records of one attack (or the closest of several), in any order. By default it uses
the norm that the attack minimizes; for records in several norms, choose one.
Estimates have a 95 % confidence interval, which assumes that the samples are a random draw.

Success, mean and median are over the samples that the model classifies correctly: what it
misclassifies needs no attack. `over="all"` counts these as successes at distance 0, as the paper
does. Accuracies are over all samples.

An attack within a radius (`pgd(epsilon=0.3)`) has not searched beyond it. So where it failed,
nothing is known at larger radii: accuracies there are NaN, and the curve ends. Such an attack
searches for any adversarial, not for the closest one. So between 0 and its radius accuracies are at
most what its records show, and so are distances: these estimates are of the type `UpperBound`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch

from minnorm.errors import InputError
from minnorm.evaluation.estimates import (
    UNKNOWN,
    Array,
    Estimate,
    between,
    mean_of,
    median_of,
    share_of,
)
from minnorm.evaluation.reaches import EQUAL_RADII, are_proven, limits_of, robust_up_to
from minnorm.evaluation.records import Records, attacks_in
from minnorm.evaluation.selection import norm_of_records, values_of
from minnorm.geometry import Norm
from minnorm.radii import least_radii

Over: TypeAlias = Literal["correct", "all"]
"""The samples of a metric: `correct`, those that the model classifies correctly, or `all`, where a
misclassified sample is a success at distance 0."""

_BLOCK = 2**13
"""The number of records whose radii are computed at once, few enough for the processor's cache."""


@dataclass(frozen=True)
class Summary:
    """A row of a results table: one attack.

    Attributes:
        attack: The name of the attack.
        norm: The norm of the distances.
        samples: Number of records.
        clean_errors: Number of records whose sample the model misclassifies before any attack; NaN
            is no class.
        success: Share of successes.
        mean: Mean distance over the successes.
        median: Median distance; a failure counts as infinitely far.
        median_gray: Median distance; a failure counts as the distance to the gray image (L2 only,
            else NaN), infinite if there are no bounds.
        radius_limit: The radius beyond which nothing is known, infinite if there is none.
        forwards: Mean number of forward passes per sample.
        backwards: Mean number of gradients per sample.
        seconds: Time for all samples together.
    """

    attack: str
    norm: Norm
    samples: int
    clean_errors: int
    success: Estimate
    mean: Estimate
    median: Estimate
    median_gray: Estimate
    radius_limit: float
    forwards: float
    backwards: float
    seconds: float


def success_rate(records: Records, over: Over = "correct") -> Estimate:
    """Return the share of successes, with Wilson's interval; NaN without samples.

    Args:
        records: The records.
        over: The samples, `correct` or `all`; see `Over`.
    """
    chosen = _chosen(records, over)
    return share_of(values_of(records, "success")[chosen], values_of(records, "index")[chosen])


def clean_accuracy(records: Records) -> Estimate:
    """Return the share of samples that the model classifies correctly, with Wilson's interval.

    NaN is no class: a sample whose logits hold NaN is not classified correctly.
    """
    samples, first = np.unique(values_of(records, "index"), return_index=True)
    return share_of(is_correct(records)[first], samples)


def mean_distance(records: Records, norm: Norm | None = None, over: Over = "correct") -> Estimate:
    """Return the mean distance over the successes, NaN without any.

    The interval is Student's, with a correction for skewness; it is infinite for a single sample,
    and not a point for equal distances, see `minnorm.evaluation.estimates.mean_of`.

    Args:
        records: The records.
        norm: The norm of the distances; by default the attack's own.
        over: The samples, `correct` or `all`; see `Over`.

    Returns:
        The mean; an `UpperBound` for an attack that searches for any adversarial within a radius.
    """
    found = _distances(records, norm)
    hits = np.isfinite(found) & _chosen(records, over)
    samples = values_of(records, "index")[hits]
    mean = mean_of(found[hits], samples)
    least = _robust_up_to(records, norm)
    return mean if least is None else between(mean_of(least[hits], samples), mean)


def median_distance(
    records: Records,
    norm: Norm | None = None,
    failures: Literal["infinity", "gray"] = "infinity",
    over: Over = "correct",
) -> Estimate:
    """Return the median distance, failures included.

    Args:
        records: The records.
        norm: The norm of the distances; by default the attack's own.
        failures: The distance of a failure: infinity, or that to the uniformly gray image (the
            paper's table 1; L2 only). Where a bound is infinite, that is infinity, too.
        over: The samples, `correct` or `all`; see `Over`.

    Returns:
        The median, and the order statistics that enclose it with 95 % confidence (0 and infinity
        for fewer than 6 samples). An infinite median of an attack within a radius lies beyond that
        radius; if exactly half of the samples are failures beyond it, the median is NaN. A finite
        one is an `UpperBound` for an attack that searches for any adversarial within a radius.

    Raises:
        InputError: If `failures` is `gray` and the norm is not L2.
    """
    found = _distances(records, norm)
    if failures == "gray":
        if (measured := norm_of_records(records, norm)) != "l2":
            raise InputError(f"failures='gray' is defined for norm='l2', not {measured!r}.")
        gray = values_of(records, "gray_l2")
        if np.isfinite(gray).all():
            found = np.where(np.isfinite(found), found, gray)
        else:  # without bounds there is no gray image
            failures = "infinity"
    chosen = _chosen(records, over)
    found, end = found[chosen], known_up_to(records, norm)
    if math.isfinite(end) and failures == "infinity":
        # A failure may be nearer than a success beyond the limit.
        found = np.where(found > end, math.inf, found)
        if 2 * int(np.isinf(found).sum()) == len(found):
            return UNKNOWN  # it is between a success and a failure, at an unknown distance
    samples = values_of(records, "index")[chosen]
    median = median_of(found, samples)
    least = _robust_up_to(records, norm)
    if least is None:
        return median
    hits = values_of(records, "success")[chosen] & np.isfinite(found)
    return between(median_of(np.where(hits, least[chosen], found), samples), median)


def accuracy_at(records: Records, epsilon: float, norm: Norm | None = None) -> Estimate:
    """Return the accuracy under attack within a radius, over all samples.

    It is the share of samples that are classified correctly and have no adversarial within the
    radius, so it never exceeds the clean accuracy. A failure counts as robust: this is an upper
    bound of the true robust accuracy, which a better attack may lower. For records with targets it
    is the share of pairs (sample, target). Whether a distance is within the radius is decided with
    a tolerance for rounding, see `minnorm.radii.least_radii`. The interval is Wilson's.

    Args:
        records: The records.
        epsilon: The radius.
        norm: The norm of the radius; by default the attack's own.

    Returns:
        The accuracy; NaN if an attack that failed did not search at this radius. An `UpperBound` if
        the attack searched for any adversarial within a larger radius: then the accuracy is at most
        its value, and at least the accuracy at the larger radius, where the interval begins.

    Raises:
        InputError: If the radius is not a finite number of at least 0.
    """
    _check_radius(epsilon)
    return accuracies_at(records, [epsilon], norm)[0]


def accuracies_at(
    records: Records, epsilons: Sequence[float], norm: Norm | None = None
) -> tuple[Estimate, ...]:
    """Return what `accuracy_at` returns, for each of several radii in less time.

    Raises:
        InputError: If a radius is not a finite number of at least 0.
    """
    for epsilon in epsilons:
        _check_radius(epsilon)
    if len(epsilons) == 0:
        return ()
    until, end = robust_radii(records, norm), known_up_to(records, norm)
    least = robust_up_to(records, norm_of_records(records, norm), until)
    samples = values_of(records, "index")
    seen = [UNKNOWN if one > end else share_of(until > one, samples) for one in epsilons]
    if least is None:
        return tuple(seen)
    return tuple(
        accuracy
        if epsilon > end
        else between(share_of(are_proven(until, least, epsilon), samples), accuracy)
        for epsilon, accuracy in zip(epsilons, seen, strict=True)
    )


def robustness_curve(records: Records, norm: Norm | None = None) -> tuple[Array, Array]:
    """Return the accuracy against the radius as a step function.

    Returns:
        The radii at which the accuracy falls, ascending from 0; and the accuracy from each radius
        up to the next. For every radius it equals the value of `accuracy_at`, which may be an upper
        bound. Where nothing is known beyond a radius, the last accuracy is NaN.
    """
    until, end = robust_radii(records, norm), known_up_to(records, norm)
    until = np.sort(until)
    radii = np.append(0.0, until[np.isfinite(until)])
    radii = radii[np.diff(radii, prepend=-1.0) > 0]  # of equal ones only the first
    if len(until) == 0:
        return radii, np.full(len(radii), math.nan)
    farther = len(until) - np.searchsorted(until, radii, side="right")
    accuracies = farther / len(until)
    if math.isinf(end):
        return radii, accuracies
    known = radii <= end
    return (
        np.append(radii[known], np.nextafter(end, math.inf)),
        np.append(accuracies[known], math.nan),
    )


def summarize(
    records: Records, attack: str, norm: Norm | None = None, over: Over = "correct"
) -> Summary:
    """Return a row of a results table.

    Args:
        records: Records of one attack; of none, nothing but their number is known.
        attack: The name for the row.
        norm: The norm of the distances; by default the attack's own.
        over: The samples of success, mean and medians, `correct` or `all`; see `Over`.
    """
    norm = norm_of_records(records, norm)
    gray = median_distance(records, norm, "gray", over) if norm == "l2" else UNKNOWN
    return Summary(
        attack=attack,
        norm=norm,
        samples=len(records),
        clean_errors=int((~is_correct(records)).sum()),
        success=success_rate(records, over),
        mean=mean_distance(records, norm, over),
        median=median_distance(records, norm, "infinity", over),
        median_gray=gray,
        radius_limit=search_limit(records, norm),
        forwards=_average(values_of(records, "forwards")),
        backwards=_average(values_of(records, "backwards")),
        seconds=float(values_of(records, "seconds").sum()),
    )


def _average(values: Array) -> float:
    return float(values.mean()) if len(values) else math.nan


def _check_radius(epsilon: object) -> None:
    if (
        isinstance(epsilon, bool)
        or not isinstance(epsilon, int | float | np.integer | np.floating)
        or not 0 <= epsilon < math.inf
    ):
        raise InputError(f"epsilon={epsilon!r}: expected one finite radius of at least 0.")


def _distances(records: Records, norm: Norm | None) -> Array:
    """Return the distances of one attack, in a given norm or in its own."""
    check_one_attack(records)
    return values_of(records, norm_of_records(records, norm))


def is_correct(records: Records) -> Array:
    """Return which records are of samples that the model classifies correctly."""
    correct: Array = values_of(records, "clean_prediction") == values_of(records, "label")
    return correct


def _chosen(records: Records, over: str) -> Array:
    """Return which records a metric is over.

    Raises:
        InputError: If the choice is unknown, or the records are of several attacks.
    """
    check_one_attack(records)
    if over not in ("correct", "all"):
        raise InputError(f"over={over!r}: expected 'correct' or 'all'.")
    return np.full(len(records), True) if over == "all" else is_correct(records)


def _zero_if_wrong(records: Records, values: Array) -> Array:
    """Return the values, 0 for samples that the model misclassifies before any attack."""
    return np.where(is_correct(records), values, 0.0)


def robust_radii(records: Records, norm: Norm | None) -> Array:
    """Return the radius at which each record of one attack stops to count as robust.

    It is 0 for a misclassified sample, and infinite for a failure.

    Args:
        records: The records.
        norm: The norm of the radii; by default the attack's own.
    """
    found, gaps = _distances(records, norm), values_of(records, "rounding")
    measured = norm_of_records(records, norm)
    radii = np.empty(len(found))
    for start in range(0, len(found), _BLOCK):
        part = slice(start, start + _BLOCK)
        radii[part] = least_radii(torch.tensor(found[part]), torch.tensor(gaps[part]), measured)
    return _zero_if_wrong(records, radii)


def _robust_up_to(records: Records, norm: Norm | None) -> Array | None:
    return robust_up_to(records, norm_of_records(records, norm), robust_radii(records, norm))


def search_limit(records: Records, norm: Norm) -> float:
    """Return the smallest radius limit of the failures, infinite if there is none.

    Args:
        records: The records of one attack.
        norm: The norm of the limit.
    """
    failed = np.isinf(values_of(records, norm)) & is_correct(records)
    return float(limits_of(records, norm)[failed].min(initial=math.inf))


def known_up_to(records: Records, norm: Norm | None) -> float:
    """Return the largest radius at which the accuracy is known, infinite if there is no limit.

    Args:
        records: The records of one attack.
        norm: The norm of the radius; by default the attack's own.
    """
    return search_limit(records, norm_of_records(records, norm)) * (1 + EQUAL_RADII)


def check_one_attack(records: Records) -> None:
    """Check that records are of one attack.

    Raises:
        InputError: If they are of several.
    """
    names = attacks_in(records)
    if len(names) > 1:
        raise InputError(
            f"these records are of {len(names)} attacks ({', '.join(names)}): choose one with "
            "of_attack, or combine them with closest_records."
        )
