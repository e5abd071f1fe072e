"""Metrics: pure functions of records.

Each takes the records of one attack (or the closest of several), in any order. By default it uses
the norm that the attack minimizes; for records in several norms, choose one.
Estimates have a 95 % confidence interval, which assumes that the samples are a random draw.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from minnorm.errors import InputError
from minnorm.evaluation.estimates import (
    Array,
    Estimate,
    Z,
    effective_count,
    share_of,
    variance_of_mean,
)
from minnorm.evaluation.records import Records
from minnorm.evaluation.selection import keys_of, norm_of_records, values_of
from minnorm.geometry import Norm


@dataclass(frozen=True)
class Summary:
    """A row of a results table: one attack.

    Attributes:
        attack: The name of the attack.
        norm: The norm of the distances.
        samples: Number of records.
        success: Share of successes.
        mean: Mean distance over the successes.
        median: Median distance; a failure counts as infinitely far.
        median_gray: Median distance; a failure counts as the distance to the gray image (L2 only,
            else NaN).
        forwards: Mean number of forward passes per sample.
        backwards: Mean number of gradients per sample.
        seconds: Time for all samples together.
    """

    attack: str
    norm: Norm
    samples: int
    success: Estimate
    mean: Estimate
    median: Estimate
    median_gray: Estimate
    forwards: float
    backwards: float
    seconds: float


def success_rate(records: Records) -> Estimate:
    """Return the share of successes; the interval is Wilson's."""
    _check_one_attack(records)
    return share_of(values_of(records, "success"), values_of(records, "index"))


def clean_accuracy(records: Records) -> Estimate:
    """Return the share of samples that the model classifies correctly, with Wilson's interval."""
    samples, first = np.unique(values_of(records, "index"), return_index=True)
    correct = values_of(records, "clean_prediction") == values_of(records, "label")
    return share_of(correct[first], samples)


def mean_distance(records: Records, norm: Norm | None = None) -> Estimate:
    """Return the mean distance over the successes, NaN without any; a normal interval cut at 0."""
    found = _distances(records, norm)
    hits = np.isfinite(found)
    if not hits.any():
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(found[hits].mean())
    variance = variance_of_mean(found[hits], values_of(records, "index")[hits])
    half = Z * math.sqrt(variance)
    return Estimate(mean, max(mean - half, 0.0), mean + half)


def median_distance(
    records: Records, norm: Norm | None = None, failures: Literal["infinity", "gray"] = "infinity"
) -> Estimate:
    """Return the median distance over all records.

    Args:
        records: The records.
        norm: The norm of the distances; by default the attack's own.
        failures: The distance of a failure: infinity, or that to the uniformly gray image (the
            paper's table 1; L2 only).

    Returns:
        The median, and the order statistics that enclose it with 95 % confidence.

    Raises:
        InputError: If `failures` is `gray` and the norm is not L2.
    """
    found = _distances(records, norm)
    if failures == "gray":
        if (measured := norm_of_records(records, norm)) != "l2":
            raise InputError(f"failures='gray' is defined for norm='l2', not {measured!r}.")
        found = np.where(np.isfinite(found), found, values_of(records, "gray_l2"))
    count = len(found)
    if count == 0:
        return Estimate(math.nan, math.nan, math.nan)
    ordered = np.sort(found)
    below, above = ordered[(count - 1) // 2], ordered[count // 2]
    # The two middle values are averaged only if they differ, since they may both be infinite.
    middle = below if below == above else (below + above) / 2
    effective = effective_count(found <= middle, values_of(records, "index"))
    half = Z * count / math.sqrt(effective) / 2
    low = max(math.floor(count / 2 - half) - 1, 0)
    high = min(math.ceil(count / 2 + half), count - 1)
    return Estimate(float(middle), float(ordered[low]), float(ordered[high]))


def accuracy_at(records: Records, epsilon: float, norm: Norm | None = None) -> Estimate:
    """Return the accuracy under attack within a radius: `mean(distance > epsilon)`.

    A failure counts as robust, a misclassified sample (distance 0) as not robust. So this is an
    upper bound of the true robust accuracy: a better attack may lower it. For records with targets
    it is the share of pairs (sample, target) that are not reached within the radius. The interval
    is Wilson's.

    Raises:
        InputError: If the radius is not a number of at least 0.
    """
    found = _distances(records, norm)
    if (
        isinstance(epsilon, bool)
        or not isinstance(epsilon, int | float | np.integer | np.floating)
        or not epsilon >= 0
    ):
        raise InputError(f"epsilon={epsilon!r}: expected one radius of at least 0.")
    return share_of(found > epsilon, values_of(records, "index"))


def robustness_curve(records: Records, norm: Norm | None = None) -> tuple[Array, Array]:
    """Return the accuracy against the radius as a step function.

    Returns:
        The radii at which the accuracy falls, ascending from 0; and the accuracy from each radius
        up to the next. For every radius it equals `accuracy_at`.
    """
    found = _distances(records, norm)
    radii = np.unique(np.append(found[np.isfinite(found)], 0.0))
    if len(found) == 0:
        return radii, np.full(len(radii), math.nan)
    farther = len(found) - np.searchsorted(np.sort(found), radii, side="right")
    return radii, farther / len(found)


def optimality(records: Records, envelope: Records, norm: Norm | None = None) -> float:
    """Return how near an attack comes to the best known distances: 1 at them, 0 if it always fails.

    This is the global optimality of AttackBench (Cinà et al. 2024), `1 - (A - B) / (C - B)`. A and
    B are the areas under the robustness curves of the attack and of the envelope, up to the largest
    distance of the envelope; C is the area for the clean accuracy.

    Args:
        records: The attack's records.
        envelope: The best known records of the same samples, for example from `closest_records`.
        norm: The norm of the distances; by default the attack's own.

    Returns:
        The optimality; NaN if the envelope has no finite distance above 0.

    Raises:
        InputError: If the samples are not the same, or the envelope is of another norm.
    """
    _check_one_attack(records)
    if sorted(keys_of(records)) != sorted(keys_of(envelope)):
        raise InputError(
            "the records and the envelope are not of the same samples and targets: use an envelope "
            "of the same samples, for example from closest_records."
        )
    norm = norm_of_records(records, norm)
    if (chosen := norm_of_records(envelope)) != norm:
        raise InputError(
            f"the envelope's distances are the smallest in {chosen}, but the records are measured "
            f"in {norm}: use closest_records(records, norm={norm!r}) as the envelope."
        )
    best = values_of(envelope, norm)
    finite = best[np.isfinite(best)]
    limit = float(finite.max()) if len(finite) else 0.0
    if limit == 0.0:
        return math.nan
    # The area under mean(distance > eps) up to the limit is the mean of min(distance, limit).
    area, area_best = (float(np.minimum(v, limit).mean()) for v in (values_of(records, norm), best))
    correct = values_of(envelope, "clean_prediction") == values_of(envelope, "label")
    area_clean = float(correct.mean()) * limit
    return 1 - (area - area_best) / (area_clean - area_best) if area_clean > area_best else 1.0


def summarize(records: Records, attack: str, norm: Norm | None = None) -> Summary:
    """Return a row of a results table.

    Args:
        records: Records of one attack, at least one.
        attack: The name for the row.
        norm: The norm of the distances; by default the attack's own.
    """
    norm = norm_of_records(records, norm)
    unknown = Estimate(math.nan, math.nan, math.nan)
    return Summary(
        attack=attack,
        norm=norm,
        samples=len(records),
        success=success_rate(records),
        mean=mean_distance(records, norm),
        median=median_distance(records, norm),
        median_gray=median_distance(records, norm, "gray") if norm == "l2" else unknown,
        forwards=float(values_of(records, "forwards").mean()),
        backwards=float(values_of(records, "backwards").mean()),
        seconds=float(values_of(records, "seconds").sum()),
    )


def _distances(records: Records, norm: Norm | None) -> Array:
    """Return the distances of one attack, in a given norm or in its own."""
    _check_one_attack(records)
    return values_of(records, norm_of_records(records, norm))


def _check_one_attack(records: Records) -> None:
    names = records.column("attack").unique().to_pylist()
    if len(names) > 1:
        raise InputError(
            f"these records are of {len(names)} attacks ({', '.join(names)}): choose one with "
            "of_attack, or combine them with closest_records."
        )
