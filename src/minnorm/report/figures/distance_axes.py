"""Distributions of distances on a Matplotlib axis."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minnorm.geometry import Norm
from minnorm.report.facts.distances import Distances, distributions
from minnorm.report.figures.drawing import (
    COLORS,
    SIZE,
    Drawables,
    checked_norm,
    drawn_parts,
    labeled,
    names_of,
    new_axes,
    plain,
    shown_distance,
    shown_name,
)
from minnorm.report.texts import AT_MOST, norm_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FAR = 0.995
"""The share of the distances of each row that are within the axis."""

_HEIGHT = 0.8
"""The height of the largest bar; the rows are 1 apart."""


def plot_distances(
    runs: Drawables,
    *,
    ax: "Axes | None" = None,
    norm: Norm | None = None,
    attacks: Sequence[str] = (),
) -> "Axes":
    """Draw the distributions of the distances of the closest adversarials, a row for each.

    A histogram shows the successes on correctly classified samples. A line marks the median, for
    which a failure counts as infinitely far. Failures are counted beside it. One run has
    a row for each attack and one for the closest of all. Several runs have one row each. Neither
    pyplot's current figure nor any setting changes.

    Args:
        runs: A run, its records or its directory; or several, in a list or by label.
        ax: The axis to draw on; by default that of a new figure.
        norm: The norm of the distances; by default that of the attacks.
        attacks: The attacks to draw, by their names or specs.

    Returns:
        The axis.

    Raises:
        InputError: If there is nothing to draw, or the attacks minimize different norms.
        MissingLibraryError: If Matplotlib is not installed.
    """
    parts = drawn_parts(labeled(runs), checked_norm(norm), attacks)
    rows = distributions(parts, norm)
    axes = new_axes((SIZE[0], 0.9 + 0.45 * max(len(rows), 2))) if ax is None else ax
    end = max(map(_farthest, rows))
    for number, row in enumerate(rows):
        _draw(axes, row, number, end)
    axes.set(xlim=(0, end), ylim=(len(rows) - 0.9, -1.0))
    axes.set_xlabel(f"{norm_name(rows[0].norm)} distance of the closest adversarial")
    middles = [number - _HEIGHT / 3 for number in range(len(rows))]
    axes.set_yticks(middles, [shown_name(name) for name in names_of(parts).values()])
    for label in axes.get_yticklabels():
        plain(label)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _draw(axes: "Axes", row: Distances, number: int, end: float) -> None:
    """Draw a histogram whose base is at a number, upwards."""
    color = COLORS[number % len(COLORS)]
    # Rows have their own scale: what counts is where the distances are.
    heights = number - _HEIGHT * row.counts / max(row.counts.max(), 1)
    axes.stairs(heights, row.edges, baseline=number, fill=True, color=color, alpha=0.35)
    axes.stairs(heights, row.edges, baseline=number, color=color, linewidth=0.8)
    axes.plot([0, end], [number, number], color="0.4", linewidth=0.6)
    median = row.quantiles[0.5]
    if math.isfinite(median):
        axes.plot([median, median], [number, number - _HEIGHT], color="black", linewidth=1.2)
        near_end = median > 0.85 * end
        axes.annotate(
            (AT_MOST if row.at_most else "") + shown_distance(median),
            (median, number - _HEIGHT),
            xytext=(-4 if near_end else 4, 0),
            textcoords="offset points",
            fontsize="small",
            ha="right" if near_end else "left",
            va="top",
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
        )
    if row.failures:
        total = row.failures + int(row.counts.sum())
        axes.annotate(
            f"{row.failures:,} of {total:,}\nfailed",
            (1, number - _HEIGHT / 3),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            fontsize="small",
            va="center",
        )


def _farthest(row: Distances) -> float:
    """Return the distance within which almost all successes of a row are."""
    if not row.counts.any():
        return float(row.edges[-1])
    within = np.cumsum(row.counts) / row.counts.sum()
    return float(row.edges[np.searchsorted(within, _FAR) + 1])
