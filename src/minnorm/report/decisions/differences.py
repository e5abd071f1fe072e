"""Differences of metrics between two runs on the same samples, with their intervals."""

import math
from dataclasses import dataclass

import numpy as np

from minnorm.evaluation import Estimate, accuracy_at
from minnorm.evaluation.estimates import UNKNOWN, Array
from minnorm.report.decisions.paired import (
    mcnemar,
    mean_change_bounds,
    median_changes,
    percentiles,
    share_difference_bounds,
)
from minnorm.report.decisions.pairs import PairedValues, Pairs
from minnorm.report.texts import radius_text


@dataclass(frozen=True)
class Difference:
    """How a metric differs between two runs, A and B.

    Attributes:
        metric: The metric, in words.
        is_share: Whether it is a share, and not a distance.
        pairs: The number of pairs that it is over.
        a: The number of the first run.
        b: The number of the second run.
        change: `b - a`, with its interval; NaN if it is unknown.
        p_value: That of McNemar's exact test, of a share; `None` of a distance.
        only_a: The pairs that count in the first run alone, of a share.
        only_b: The pairs that count in the second run alone, of a share.
    """

    metric: str
    is_share: bool
    pairs: int
    a: float
    b: float
    change: Estimate
    p_value: float | None = None
    only_a: int | None = None
    only_b: int | None = None


def clean_difference(pairs: Pairs, tail: float) -> Difference:
    """Return the difference of the clean accuracies, over samples.

    Args:
        pairs: The records of both runs.
        tail: The probability that the difference is below its interval, and that it is above.
    """
    return _share_difference("clean accuracy", pairs.clean_hits, tail)


def accuracy_difference(pairs: Pairs, radius: float, tail: float) -> Difference:
    """Return the difference of the accuracies under attack, NaN if one of them is unknown.

    An accuracy of which is only known what it is at most is unknown here.

    Args:
        pairs: The records of both runs.
        radius: The radius.
        tail: The probability that the difference is below its interval, and that it is above.
    """
    name = f"accuracy at {radius_text(radius)}"
    found = (accuracy_at(part, radius, pairs.norm) for part in (pairs.a, pairs.b))
    a, b = (math.nan if one.is_upper_bound else one.value for one in found)
    if math.isnan(a) or math.isnan(b):
        return Difference(name, True, len(pairs.a), a, b, UNKNOWN)
    return _share_difference(name, pairs.robust_hits(radius), tail)


def median_difference(pairs: Pairs, tail: float) -> Difference:
    """Return the difference of the medians, over pairs whose sample both classify correctly.

    A failure of an attack counts as infinitely far. It is unknown if the attacks of a run have not
    searched for the closest adversarials.

    Args:
        pairs: The records of both runs.
        tail: The probability that the difference is below its interval, and that it is above.
    """
    name, distances = f"median {pairs.norm}", pairs.distances
    if len(distances.a) == 0 or pairs.not_closest:
        return _unknown(name)
    value, changes = median_changes(distances, difference)
    a, b = (float(np.median(one)) for one in distances[:2])
    bounds = percentiles(changes, distances.samples, tail)
    return Difference(name, False, len(distances.a), a, b, Estimate(value, *bounds))


def mean_difference(pairs: Pairs, tail: float) -> Difference:
    """Return the difference of the means, over pairs where both attacks succeeded.

    Samples that one of the models misclassifies before any attack are left out. It is unknown if
    the attacks of a run have not searched for the closest adversarials.

    Args:
        pairs: The records of both runs.
        tail: The probability that the difference is below its interval, and that it is above.
    """
    name, distances = f"mean {pairs.norm}", pairs.distances
    found = np.isfinite(distances.a) & np.isfinite(distances.b)
    if not found.any() or pairs.not_closest:
        return _unknown(name)
    a, b, samples = (one[found] for one in distances)
    ends = (-float(a.mean()), float(b.mean()))  # all of the distance is lost, or was missing before
    bounds = mean_change_bounds(b - a, samples, ends)(tail)
    change = Estimate(float((b - a).mean()), *bounds)
    return Difference(name, False, len(a), float(a.mean()), float(b.mean()), change)


def difference(a: Array, b: Array) -> Array:
    """Return `b - a`; NaN where both are infinite."""
    with np.errstate(invalid="ignore"):
        change: Array = b - a
    return change


def _share_difference(metric: str, hits: PairedValues, tail: float) -> Difference:
    a, b, _ = hits
    value = float(b.mean() - a.mean())
    return Difference(
        metric,
        True,
        len(a),
        float(a.mean()),
        float(b.mean()),
        Estimate(value, *share_difference_bounds(hits, tail)),
        mcnemar(hits),
        int((a & ~b).sum()),
        int((b & ~a).sum()),
    )


def _unknown(metric: str) -> Difference:
    return Difference(metric, False, 0, math.nan, math.nan, UNKNOWN)
