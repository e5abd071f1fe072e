"""Histograms of the best constants of C&W, on a logarithmic scale."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from minnorm.evaluation.estimates import Array
from minnorm.paper.figures.files import new_figure
from minnorm.report.figures.drawing import COLORS, import_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR = 0.42
"""The width of a bar, in bins; each bin has two."""

_MOST_LABELS = 12


def histogram(logarithms: Array, edges: Array) -> Array:
    """Return the number of constants in each bin, from each edge up to the next, without it.

    Args:
        logarithms: Their base 2 logarithms.
        edges: The edges of the bins, ascending whole numbers.
    """
    bins = np.floor(logarithms).astype(np.int64) - int(edges[0])
    return np.bincount(bins, minlength=len(edges) - 1)


def edges_of(parts: Mapping[str, Array]) -> Array:
    """Return whole numbers that enclose the logarithms of all parts."""
    values = np.floor(np.concatenate(list(parts.values()))).astype(np.int64)
    return np.arange(values.min(), values.max() + 2)


def draw_constants(parts: Mapping[str, Array]) -> "Figure":
    """Return a histogram with a bin for each power of two.

    Args:
        parts: The base 2 logarithms of the constants, by the name of the network; at most two.
    """
    figure = new_figure(5.0, 3.2)
    axes = figure.subplots()
    edges = edges_of(parts)
    for place, (name, logarithms) in enumerate(parts.items()):
        axes.bar(
            edges[:-1] + 0.5 + (place - (len(parts) - 1) / 2) * _BAR,
            histogram(logarithms, edges),
            width=_BAR,
            color=COLORS[place],
            label=name,
            zorder=2,
        )
    step = -(-len(edges) // _MOST_LABELS)
    ticks = edges[::step]
    axes.set_xticks(ticks, [f"$2^{{{tick}}}$" for tick in ticks.tolist()])
    axes.set(xlabel="best constant C of C&W", ylabel="images")
    axes.yaxis.set_major_locator(import_matplotlib().ticker.MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92", linewidth=0.6, zorder=0)
    axes.legend(frameon=False)
    return figure
