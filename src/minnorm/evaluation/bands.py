"""Confidence bands: what `accuracy_at` returns, for many radii at once."""

import math
from typing import NamedTuple

import numpy as np

from minnorm.evaluation.estimates import Array, share_of, wilson
from minnorm.evaluation.metrics import known_up_to, robust_radii
from minnorm.evaluation.reaches import EQUAL_RADII, are_proven, robust_up_to
from minnorm.evaluation.records import Records
from minnorm.evaluation.selection import norm_of_records, values_of
from minnorm.geometry import Norm


class Band(NamedTuple):
    """Numbers and the ends of their 95 % confidence intervals, each of which holds alone."""

    values: Array
    low: Array
    high: Array


def accuracy_band(records: Records, radii: Array, norm: Norm | None = None) -> Band:
    """Return the accuracy under attack within each of many radii, see `accuracy_at`.

    The time hardly depends on the number of radii.

    Args:
        records: The records of one attack.
        radii: The radii.
        norm: The norm of the radii; by default the attack's own.
    """
    until = robust_radii(records, norm)
    if len(until) == 0:
        nothing = np.full(len(radii), math.nan)
        return Band(nothing, nothing, nothing)
    order = np.argsort(until, kind="stable")
    fallen = np.searchsorted(until[order], radii, side="right")
    shares = (len(until) - fallen) / len(until)
    counts = _effective_counts(values_of(records, "index")[order], fallen)
    known = radii <= known_up_to(records, norm)
    low, high = wilson(shares, counts)
    least = robust_up_to(records, norm_of_records(records, norm), until)
    if least is not None:
        low = np.minimum(low, _least(until, least, radii, values_of(records, "index")))
    return Band(*(np.where(known, one, math.nan) for one in (shares, low, high)))


def are_upper_bounds(records: Records, radii: Array, norm: Norm | None = None) -> Array:
    """Return at which of several radii the accuracy is an `UpperBound`, see `accuracy_at`.

    Args:
        records: The records of one attack.
        radii: The radii.
        norm: The norm of the radii; by default the attack's own.
    """
    until, end = robust_radii(records, norm), known_up_to(records, norm)
    least = robust_up_to(records, norm_of_records(records, norm), until)
    if least is None:
        return np.full(len(radii), False)
    return np.array(
        [
            radius <= end and not np.array_equal(until > radius, are_proven(until, least, radius))
            for radius in radii
        ]
    )


def _least(until: Array, least: Array, radii: Array, samples: Array) -> Array:
    """Return the lower ends where the accuracy is only known to be at least that farther out.

    Args:
        until: The radius at which each record stops to count as robust.
        least: The radius within which each is known to be robust: one of a few radii.
        radii: The radii of the ends.
        samples: The sample of each record.
    """
    low = np.empty(len(radii))
    steps = np.append(0.0, np.unique(least))
    # A small radius has the same end as the next one within which the attack searched.
    places = np.searchsorted(steps * (1 + EQUAL_RADII), radii, side="left")
    for place in np.unique(places):
        radius = steps[place] if place < len(steps) else math.inf
        low[places == place] = share_of(are_proven(until, least, radius), samples).low
    return low


def _effective_counts(samples: Array, fallen: Array) -> Array:
    """Return `effective_count` of the records that are left after the first ones fall.

    The variance needs the sums over samples of s**2 and of s * m, where s of the m records of a
    sample are left. Each record that falls changes these sums by a known amount.

    Args:
        samples: The sample of each record, in the order in which the records fall.
        fallen: Numbers of records that have fallen.
    """
    _, group, sizes = np.unique(samples, return_inverse=True, return_counts=True)
    total, groups = len(samples), len(sizes)
    if groups in (total, 1):
        return np.full(len(fallen), float(groups))
    by_group = np.argsort(group, kind="stable")
    earlier = np.empty(total, dtype=np.int64)  # records of the same sample that fell before
    earlier[by_group] = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    squares = np.append(0, np.cumsum(2 * (sizes[group] - earlier) - 1))[fallen]
    products = np.append(0, np.cumsum(sizes[group]))[fallen]
    all_squares = int(np.square(sizes).sum())
    shares = (total - fallen) / total
    left, mixed = all_squares - squares, all_squares - products
    deviations = left - 2 * shares * mixed + shares**2 * all_squares
    variances = np.maximum(deviations, 0) / total**2 * groups / (groups - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        counts = np.minimum(shares * (1 - shares) / variances, total)
    counts = np.where(variances > 0, counts, float(total))
    return np.where((fallen == 0) | (fallen == total), float(groups), counts)
