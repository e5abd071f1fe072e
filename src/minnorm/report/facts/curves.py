"""Robustness curves: the accuracy under attack against the radius, with a confidence band."""

import math
from dataclasses import dataclass

import numpy as np

from minnorm.evaluation import Records, norm_of_records, robustness_curve
from minnorm.evaluation.bands import accuracy_band, are_upper_bounds
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import search_limit
from minnorm.evaluation.reaches import fixed_radii_in
from minnorm.geometry import Norm
from minnorm.report.parts import attack_parts
from minnorm.report.runs import LabeledRun

MOST_POINTS = 300
"""The most points of a curve."""

_SMALLEST_STEP = 1 / (MOST_POINTS - 5)
"""The change of the accuracy up to which a longer curve leaves out points: 0.34 %."""


_JUST_ABOVE = 3e-6
"""The share of a radius by which another one is above it, beyond any tolerance."""


@dataclass(frozen=True)
class Curve:
    """The accuracy under attack against the radius: a step function.

    A curve with many steps is thinned: then the accuracy is too high by at most 0.34 % between two
    of its points, and exact at the points.

    Of an attack that searches for any adversarial within a radius, the curve is an upper bound at
    smaller radii: there the confidence interval begins at what the accuracy is at least.

    Attributes:
        run: The label of the run.
        attack: The name of the attack, or of the closest of all attacks.
        norm: The norm of the radii.
        radii: Radii, ascending from 0, at most 300.
        accuracy: The accuracy from each radius up to the next.
        low: The lower ends of the 95 % confidence intervals, for each radius alone.
        high: The upper ends.
        limit: The radius beyond which nothing is known, about the last of the radii; infinite if
            there is none. Then the last accuracy holds for all larger radii.
        at_most: At which radii the accuracy is an upper bound.
    """

    run: str
    attack: str
    norm: Norm
    radii: Array
    accuracy: Array
    low: Array
    high: Array
    limit: float
    at_most: Array


def curves(run: LabeledRun, norm: Norm | None = None) -> list[Curve]:
    """Return the curve of each attack and, of several attacks, of the closest of all.

    Args:
        run: The run.
        norm: The norm of the radii; by default each attack's own.
    """
    return [curve_of(part, run.label, name, norm) for name, part in attack_parts(run, norm).items()]


def curve_of(records: Records, run: str, attack: str, norm: Norm | None = None) -> Curve:
    """Return the curve of the records of one attack.

    Args:
        records: The records.
        run: The label of the run.
        attack: The name of the curve.
        norm: The norm of the radii; by default the attack's own.
    """
    norm = norm_of_records(records, norm)
    radii, accuracy = robustness_curve(records, norm)
    limit = search_limit(records, norm)
    if math.isfinite(limit):  # up to there, the curve goes on at the last accuracy that is known
        radii = np.append(radii[:-1], max(limit, radii[-2]))
        accuracy = np.append(accuracy[:-1], accuracy[-2])
        radii, first = np.unique(radii, return_index=True)
        accuracy = accuracy[first]
    kept = _kept(accuracy)
    radii = radii[kept]
    searched = fixed_radii_in(records, norm)
    if searched is not None:
        radii = np.union1d(radii, _ends_of_known(radii, searched))
    band = accuracy_band(records, radii, norm)
    return Curve(run, attack, norm, radii, *band, limit, are_upper_bounds(records, radii, norm))


def _ends_of_known(radii: Array, searched: tuple[float, ...]) -> Array:
    """Return the radii of a curve at which the accuracy is known, and those just above them.

    Args:
        radii: The radii of the curve.
        searched: The radii within which the attack has searched.
    """
    ends = [_JUST_ABOVE * float(radii[1])] if len(radii) > 1 else []
    for radius in searched:
        ends += [radius, radius * (1 + _JUST_ABOVE)]
    return np.array([radius for radius in ends if radius < radii[-1]])


def _kept(accuracy: Array) -> Array:
    """Return the positions of the points to keep of a falling curve: all, if these are few."""
    last = len(accuracy) - 1
    if last < MOST_POINTS:
        return np.arange(last + 1)
    kept = [0]
    while kept[-1] < last:
        fallen = np.searchsorted(-accuracy, _SMALLEST_STEP - accuracy[kept[-1]], side="right")
        kept.append(min(int(fallen), last))
    return np.array(kept)
