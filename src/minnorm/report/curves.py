"""Robustness curves: the accuracy under attack against the radius, with a confidence band."""

import math
from dataclasses import dataclass

import numpy as np

from minnorm.evaluation import Records, accuracy_at, norm_of_records, robustness_curve
from minnorm.evaluation.estimates import Array
from minnorm.geometry import Norm
from minnorm.report.parts import attack_parts
from minnorm.report.runs import LabeledRun


@dataclass(frozen=True)
class Curve:
    """The accuracy under attack against the radius: a step function.

    Attributes:
        run: The label of the run.
        attack: The name of the attack, or of the closest of all attacks.
        norm: The norm of the radii.
        radii: Radii, ascending from 0, at most 300.
        accuracy: The accuracy from each radius up to the next.
        low: The lower ends of the 95 % confidence intervals, for each radius alone.
        high: The upper ends.
        limit: The radius beyond which nothing is known, the last of the radii; infinite if there is
            none. Then the last accuracy holds for all larger radii.
    """

    run: str
    attack: str
    norm: Norm
    radii: Array
    accuracy: Array
    low: Array
    high: Array
    limit: float


def curves(run: LabeledRun, norm: Norm | None = None) -> list[Curve]:
    """Return the curve of each attack and, of several attacks, of the closest of all.

    Args:
        run: The run.
        norm: The norm of the radii; by default each attack's own.
    """
    return [curve_of(part, run.label, name, norm) for name, part in attack_parts(run, norm).items()]


def curve_of(records: Records, run: str, attack: str, norm: Norm | None = None) -> Curve:
    """Return the curve of the records of one attack."""
    radii, accuracy = robustness_curve(records, norm)
    limit = math.inf
    if len(accuracy) > 1 and math.isnan(accuracy[-1]):
        limit = float(radii[-2])
        radii, accuracy = radii[:-1], accuracy[:-1]
    if len(radii) > 300:
        kept = np.unique(np.linspace(0, len(radii) - 1, 300).round().astype(int))
        radii = radii[kept]
    band = np.array([accuracy_at(records, float(radius), norm) for radius in radii]).T
    return Curve(run, attack, norm_of_records(records, norm), radii, *band, limit)
