"""Distributions of the distances of the closest adversarials."""

import math
from dataclasses import dataclass

import numpy as np

from minnorm.evaluation import norm_of_records
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm
from minnorm.report.parts import attack_parts
from minnorm.report.runs import LabeledRun

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The shares of samples for which distances are given."""


@dataclass(frozen=True)
class Distances:
    """The distances of one attack, or of the closest of all.

    Histogram and quantiles are over the samples that the model classifies correctly.

    Attributes:
        run: The label of the run.
        attack: The name of the attack, or of the closest of all attacks.
        norm: The norm of the distances.
        edges: The edges of the bins of the histogram, from 0; one more than the counts.
        counts: The number of successes in each bin.
        failures: The number of failures, which are in no bin.
        misclassified: The number of records whose sample needs no attack, which are in no bin.
        quantiles: The distance within which a share of the samples has an adversarial, by share.
            A failure counts as infinitely far; NaN if it is not known.
    """

    run: str
    attack: str
    norm: Norm
    edges: Array
    counts: Array
    failures: int
    misclassified: int
    quantiles: dict[float, float]


def distances(run: LabeledRun, norm: Norm | None = None) -> list[Distances]:
    """Return the distances of each attack and, of several attacks, of the closest of all.

    Args:
        run: The run.
        norm: The norm of the distances; by default each attack's own.
    """
    found = []
    for name, part in attack_parts(run, norm).items():
        measured = norm_of_records(part, norm)
        correct = values_of(part, "clean_prediction") == values_of(part, "label")
        values = values_of(part, measured)[correct]
        finite = values[np.isfinite(values)]
        counts, edges = np.histogram(
            finite, bins=40, range=(0, finite.max() if len(finite) else 1.0)
        )
        quantiles = {
            share: float(np.quantile(values, share, method="inverted_cdf"))
            if len(values)
            else math.nan
            for share in QUANTILES
        }
        found.append(
            Distances(
                run.label, name, measured, edges, counts,
                len(values) - len(finite), int((~correct).sum()), quantiles,
            )
        )  # fmt: skip
    return found
