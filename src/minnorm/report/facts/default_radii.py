"""Round radii at which to show accuracies where nobody names any."""

import math
from collections.abc import Sequence

import numpy as np

from minnorm.boxes import is_finite, span
from minnorm.evaluation import Records
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import is_correct, search_limit
from minnorm.evaluation.reaches import fixed_radii_in
from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm
from minnorm.report.facts.round_numbers import round_numbers
from minnorm.report.parts import closest_part, main_norm
from minnorm.report.runs import LabeledRun

_FALLEN = (0.1, 0.5, 0.9)
"""The shares of the adversarials that are within the radii, roughly."""

_DIGITS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
"""First digits of the radii."""

_GRAY_LEVELS = (0.25, 0.5, 1, 2, 4, 8, 16)
"""The usual small radii of `linf`, in gray levels of 255."""

_LARGE = 0.08
"""The share of the range of an input from which a radius of `linf` is a decimal number."""


def default_radii(runs: Sequence[LabeledRun], norm: Norm | None = None) -> list[float]:
    """Return a few round radii where the accuracy under attack falls, of all runs together.

    Where attacks within a radius end the curve of each run, the largest such radius is one of them.
    If attacks search for any adversarial within a radius, only such radii are shown, those that all
    such runs share if there are any.

    Args:
        runs: The runs, at least one.
        norm: The norm of the radii; by default that of the first attack of the first run.

    Returns:
        Radii, ascending; none if no attack has succeeded.
    """
    norm = main_norm(runs[0], norm)
    parts = [closest_part(run, norm) for run in runs if len(run.run.records)]
    if radii := _searched_radii(parts, norm):
        return radii
    low, high = runs[0].run.manifest["configuration"]["bounds"]
    scale = span((low, high)) if is_finite((low, high)) else 0.0  # then there are no gray levels
    wanted = _where_curves_fall(parts, norm).tolist()
    found = sorted({_nearest(radius, norm, scale) for radius in wanted})
    limit = max((search_limit(part, norm) for part in parts), default=math.inf)
    if limit in (0.0, math.inf):
        return [radius for radius in found if radius <= limit]
    return [*(radius for radius in found if radius < 0.8 * limit), limit]


def _searched_radii(parts: Sequence[Records], norm: Norm) -> list[float]:
    """Return the radii within which attacks have searched for any adversarial, if any has."""
    found = [set(radii) for part in parts if (radii := fixed_radii_in(part, norm))]
    chosen = (set.intersection(*found) or set.union(*found)) if found else set()
    return sorted(radius for radius in chosen if math.isfinite(radius))


def _where_curves_fall(parts: Sequence[Records], norm: Norm) -> Array:
    """Return radii within which shares of the adversarials are; each part counts equally."""
    ranks = np.linspace(0.005, 0.995, 100)
    found = []
    for part in parts:
        values = values_of(part, norm)[is_correct(part)]
        hits = values[np.isfinite(values) & (values > 0)]
        if len(hits):
            found.append(np.quantile(hits, ranks))
    return np.quantile(np.concatenate(found), _FALLEN) if found else np.array([])


def _nearest(radius: float, norm: Norm, scale: float) -> float:
    """Return the round number whose ratio to a radius is nearest to 1.

    Args:
        radius: The radius.
        norm: Its norm.
        scale: The range of an input, 0 if it is infinite.
    """
    if norm == "linf" and radius < _LARGE * scale:
        choices = [levels / 255 * scale for levels in _GRAY_LEVELS]
    else:
        choices = round_numbers(radius / 10, radius * 10, _DIGITS)
    if norm == "l0":
        choices = [number for number in choices if number == round(number)] or [1.0]
    return min(choices, key=lambda number: abs(math.log(number / radius)))
