"""The order of epochs: which one is kept."""

import math
from itertools import pairwise

import pytest

from minnorm.training.selection import merit


def epoch(number: int, clean: float, robust: float | None = None) -> dict[str, float]:
    """Return the measurements of an epoch."""
    measured = {"epoch": number, "validation_accuracy": clean}
    return measured if robust is None else {**measured, "robust_accuracy": robust}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (epoch(1, 0.5, 0.4), epoch(2, 0.9, 0.3)),  # robust accuracy first
        (epoch(1, 0.9, 0.3), epoch(2, 0.5, 0.3)),  # then clean accuracy
        (epoch(2, 0.5, 0.3), epoch(1, 0.5, 0.3)),  # then the later epoch
        (epoch(1, 0.9), epoch(2, 0.8)),
        (epoch(2, 0.9), epoch(1, 0.9)),
        (epoch(2, 0.9, 0.0), epoch(1, 0.1, 0.0)),
        (epoch(1, 0.1, 0.0), epoch(2, 0.9, math.nan)),  # NaN never wins
        (epoch(1, 0.0), epoch(2, math.nan)),
        (epoch(1, 0.0, 0.5), epoch(2, math.nan, 0.5)),
    ],
)
def test_epochs_are_ordered_by_robust_accuracy_clean_accuracy_and_time(
    better: dict[str, float], worse: dict[str, float]
) -> None:
    assert merit(better) > merit(worse)


def test_the_order_has_no_circles() -> None:
    figures = (0.0, 0.5, 1.0, math.nan)
    epochs = [epoch(n, c, r) for n in (1, 2) for c in figures for r in figures]
    merits = sorted(merit(one) for one in epochs)
    assert all(one <= other for one, other in pairwise(merits))
    assert all(math.isfinite(value) for one in merits for value in one)
