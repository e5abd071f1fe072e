"""Estimates: numbers with 95 % confidence intervals, and how these are computed.

The records of one sample with several targets are not independent. The intervals treat such a group
as one draw: they use the cluster-robust variance, and the effective number of records.
"""

import math
from statistics import NormalDist
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""A numpy array of one dimension."""

Z = NormalDist().inv_cdf(0.975)
"""Half the width of an interval, in standard deviations."""


class Estimate(NamedTuple):
    """A number and its 95 % confidence interval."""

    value: float
    low: float
    high: float


def variance_of_mean(values: Array, samples: Array) -> float:
    """Return the variance of the mean of values that are independent only between samples.

    With one value per sample it is the usual `variance / count`; infinite for a single sample.
    """
    _, group = np.unique(samples, return_inverse=True)
    residuals = np.bincount(group, weights=values - values.mean())
    count = len(residuals)
    if count < 2:
        return math.inf
    return float(np.square(residuals).sum()) / len(values) ** 2 * count / (count - 1)


def effective_count(hits: Array, samples: Array) -> float:
    """Return the number of independent draws that would estimate the share of hits equally well."""
    groups = len(np.unique(samples))
    if groups == len(hits):
        return float(groups)
    share = float(np.mean(hits))
    variance = variance_of_mean(hits.astype(np.float64), samples)
    if share in (0.0, 1.0) or variance == math.inf:
        return float(groups)
    return min(share * (1 - share) / variance, len(hits)) if variance > 0 else len(hits)


def share_of(hits: Array, samples: Array) -> Estimate:
    """Return the share of true values with Wilson's interval."""
    if len(hits) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    count = effective_count(hits, samples)
    share = float(np.mean(hits))
    scale = 1 + Z**2 / count
    center = (share + Z**2 / (2 * count)) / scale
    half = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2)) / scale
    return Estimate(share, max(center - half, 0.0), min(center + half, 1.0))
