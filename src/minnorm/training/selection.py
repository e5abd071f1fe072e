"""The choice of the epoch whose weights are kept."""

import math
from collections.abc import Mapping


def merit(measured: Mapping[str, float]) -> tuple[float, float, float]:
    """Return what orders epochs: the one with the largest value is kept.

    Robust accuracy decides, where the recipe measures it; then clean accuracy; of two equal epochs
    the later one is better, since its weights have been trained for longer. A figure that is NaN is
    worse than any other.

    Args:
        measured: The measurements of an epoch, as in the log.
    """
    accuracies = [measured.get(name, 0.0) for name in ("robust_accuracy", "validation_accuracy")]
    robust, clean = (-1.0 if math.isnan(value) else value for value in accuracies)
    return robust, clean, measured["epoch"]
