"""Findings from the distances and the number of samples of a run."""

import math

from minnorm.boxes import is_finite, span
from minnorm.evaluation import Records, accuracy_at, clean_accuracy
from minnorm.evaluation.estimates import Estimate, Z
from minnorm.evaluation.metrics import is_correct
from minnorm.evaluation.records import samples_in
from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm
from minnorm.report.facts.default_radii import default_radii
from minnorm.report.findings.finding import Finding
from minnorm.report.parts import closest_part, main_norm
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import (
    counted,
    norm_name,
    percent,
    percent_interval,
    radius_text,
    rounded_up,
)

_ENOUGH = 10
"""The fewest distances from which the scale is doubtful."""

_TINY = 0.25 / 255
"""The share of the range of an input that no image format can hold: a quarter of a gray level."""

_ALMOST_ALL = 0.95
"""The share of samples with tiny distances from which the scale is doubtful."""

_WIDE, _NARROW = 0.05, 0.02
"""Half the width of an interval that is wide, and of one that is narrow enough."""


def model_findings(run: LabeledRun) -> list[Finding]:
    """Return what the distances and the number of samples show.

    Args:
        run: The run, with at least one record.
    """
    norm = main_norm(run)
    closest = closest_part(run, norm)
    return [
        *_tiny_distances(run, closest),
        *_wide_intervals(run, closest, norm),
    ]


def _tiny_distances(run: LabeledRun, closest: Records) -> list[Finding]:
    """Return whether almost all adversarials are too near for any image format."""
    low, high = run.run.manifest["configuration"]["bounds"]
    if not is_finite((low, high)):
        return []  # no range, no gray levels
    largest = values_of(closest, "linf")[is_correct(closest)] / span((low, high))
    if len(largest) < _ENOUGH or (largest <= _TINY).mean() < _ALMOST_ALL:
        return []
    return [
        Finding(
            "tiny-distances",
            "problem",
            "Almost any change makes the model wrong",
            f"For {int((largest <= _TINY).sum()):,} of {counted(len(largest), 'sample')}, the "
            "closest adversarial changes no value by more than a quarter of a gray level of 255. "
            "Images with 8 bits cannot hold such changes. The accuracy is near 0 at all usual "
            "radii.",
            "Check that the inputs have the range of values that the model expects: a wrong scale "
            "or normalization makes a model this sensitive.",
        )
    ]


def _wide_intervals(run: LabeledRun, closest: Records, norm: Norm) -> list[Finding]:
    """Return whether there are too few samples for narrow intervals."""
    named: list[tuple[str, Estimate]] = [("clean accuracy", clean_accuracy(closest))]
    for radius in default_radii([run], norm):
        place = f"accuracy within an {norm_name(norm)} distance of {radius_text(radius)}"
        named.append((place, accuracy_at(closest, radius, norm)))
    name, widest = max(named, key=lambda one: _half_width(one[1]))
    if _half_width(widest) <= _WIDE:
        return []
    count = samples_in(closest)
    needed = _samples_for(count, _half_width(widest))
    return [
        Finding(
            "wide-intervals",
            "note",
            "The confidence intervals are wide",
            f"With {counted(count, 'sample')}, the {name} is {percent(widest.value)}, and the 95 % "
            f"interval reaches from {percent_interval(widest)}. Small differences between models "
            "or attacks are not visible.",
            f"About {needed:,} samples would give intervals of 2 points to either side.",
        )
    ]


def _half_width(estimate: Estimate) -> float:
    # Of an upper bound, the width of the interval is no matter of samples.
    unknown = math.isnan(estimate.value) or estimate.is_upper_bound
    return 0.0 if unknown else (estimate.high - estimate.low) / 2


def _samples_for(count: int, half_width: float) -> int:
    """Return roughly how many samples make an interval narrow, rounded up to two digits.

    Args:
        count: The number of samples.
        half_width: Half the width of their interval.
    """
    # Wilson's interval is about as wide as if there were Z**2 more samples.
    return rounded_up((count + Z**2) * (half_width / _NARROW) ** 2)
