"""Distributions of the distances of the closest adversarials."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minnorm.evaluation import Records, norm_of_records
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import is_correct, known_up_to
from minnorm.evaluation.reaches import fixed_radii_in
from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm
from minnorm.report.facts.round_numbers import round_up
from minnorm.report.parts import attack_parts
from minnorm.report.runs import LabeledRun

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The shares of samples for which distances are given."""

_BINS = 40
"""Roughly the bins that hold most of the distances."""

_MOST_BINS = 200
"""The most bins, where a few distances are far larger than the others."""


@dataclass(frozen=True)
class Distances:
    """The distances of one attack, or of the closest of all.

    Histogram and quantiles are over the samples that the model classifies correctly.

    Attributes:
        run: The label of the run.
        attack: The name of the attack, or of the closest of all attacks.
        norm: The norm of the distances.
        edges: The edges of the bins of the histogram, from 0; one more than the counts. The bins of
            the attacks of a run are equally wide if the norm is the same.
        counts: The number of successes in each bin.
        failures: The number of failures, which are in no bin.
        misclassified: The number of records whose sample needs no attack, which are in no bin.
        quantiles: The distance within which a share of the samples has an adversarial, by share. A
            failure counts as infinitely far. NaN if it is not known, or without samples.
        at_most: Whether there may be closer adversarials, since the attack has searched for any
            within a radius.
    """

    run: str
    attack: str
    norm: Norm
    edges: Array
    counts: Array
    failures: int
    misclassified: int
    quantiles: dict[float, float]
    at_most: bool = False


def distances(run: LabeledRun, norm: Norm | None = None) -> list[Distances]:
    """Return the distances of each attack and, of several attacks, of the closest of all.

    Args:
        run: The run.
        norm: The norm of the distances; by default each attack's own.
    """
    return distributions(
        {(run.label, name): part for name, part in attack_parts(run, norm).items()}, norm
    )


def distributions(
    parts: dict[tuple[str, str], Records], norm: Norm | None = None
) -> list[Distances]:
    """Return the distances of several parts, with bins of the same width for the same norm.

    Args:
        parts: The records of one attack each, by the label of the run and the name of the attack.
        norm: The norm of the distances; by default each attack's own.
    """
    norms = {key: norm_of_records(part, norm) for key, part in parts.items()}
    values = {key: values_of(part, norms[key])[is_correct(part)] for key, part in parts.items()}
    widths = {
        one: _bin_width([values[key] for key in parts if norms[key] == one], one)
        for one in dict.fromkeys(norms.values())
    }
    return [
        _distribution(key, part, norms[key], values[key], widths[norms[key]])
        for key, part in parts.items()
    ]


def _distribution(
    key: tuple[str, str], part: Records, norm: Norm, values: Array, width: float
) -> Distances:
    finite = values[np.isfinite(values)]
    bins = math.floor(finite.max(initial=0.0) / width) + 1
    edges = width * np.arange(bins + 1)
    counts, _ = np.histogram(finite, edges)
    return Distances(
        run=key[0],
        attack=key[1],
        norm=norm,
        edges=edges,
        counts=counts,
        failures=len(values) - len(finite),
        misclassified=len(part) - len(values),
        quantiles=_quantiles(values, known_up_to(part, norm)),
        at_most=fixed_radii_in(part, norm) is not None,
    )


def _bin_width(values: Sequence[Array], norm: Norm) -> float:
    """Return a round width of bins for the finite values of several distributions."""
    finite = np.concatenate([one[np.isfinite(one)] for one in values])
    if not (finite > 0).any():
        return 1.0
    width = round_up(max(np.quantile(finite, 0.98) / _BINS, finite.max() / _MOST_BINS))
    return max(width, 1.0) if norm == "l0" else width


def _quantiles(values: Array, limit: float) -> dict[float, float]:
    """Return the quantiles of distances; failures are beyond the limit of their attack."""
    ordered = np.sort(np.where(values > limit, math.inf, values))
    return {share: _quantile(ordered, share, limit) for share in QUANTILES}


def _quantile(ordered: Array, share: float, limit: float) -> float:
    """Return a quantile: between two values, their average, as in `median_distance`."""
    count = len(ordered)
    if count == 0:
        return math.nan
    place = share * count
    first = min(max(math.ceil(place) - 1, 0), count - 1)
    second = min(first + 1, count - 1) if place == math.ceil(place) else first
    below, above = float(ordered[first]), float(ordered[second])
    if math.isinf(above) and math.isfinite(below) and math.isfinite(limit):
        return math.nan  # it is between a success and a failure, at an unknown distance
    return below if below == above else (below + above) / 2
