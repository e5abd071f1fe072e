"""Round radii at which to show accuracies where nobody names any."""

from collections.abc import Sequence

import numpy as np

from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm
from minnorm.report.parts import closest_part, main_norm
from minnorm.report.runs import LabeledRun


def default_radii(runs: Sequence[LabeledRun], norm: Norm | None = None) -> list[float]:
    """Return a few round radii where the accuracy under attack falls.

    Args:
        runs: The runs.
        norm: The norm of the radii; by default that of the first attack of the first run.
    """
    norm = main_norm(runs[0], norm)
    found = np.concatenate([values_of(closest_part(run, norm), norm) for run in runs])
    found = found[np.isfinite(found) & (found > 0)]
    if len(found) == 0:
        return []
    return sorted({float(f"{value:.1g}") for value in np.quantile(found, [0.2, 0.5, 0.8])})
