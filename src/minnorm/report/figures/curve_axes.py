"""Robustness curves on a Matplotlib axis."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minnorm.geometry import Norm
from minnorm.report.facts.curves import Curve, curve_of
from minnorm.report.figures.drawing import (
    COLORS,
    LINES,
    Drawables,
    checked_norm,
    drawn_parts,
    labeled,
    names_of,
    new_axes,
    plain,
    shown_name,
)
from minnorm.report.texts import norm_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOW = 0.01
"""The accuracy below which the rest of a curve is not shown."""

_MOST_BANDS = 4
"""The most confidence bands that a reader can tell apart."""

_MARGIN = 1.03
"""The space to the right of the curves."""


def plot_curves(
    runs: Drawables,
    *,
    ax: "Axes | None" = None,
    norm: Norm | None = None,
    attacks: Sequence[str] = (),
    epsilons: Sequence[float] = (),
    bands: bool = True,
) -> "Axes":
    """Draw robustness curves: the accuracy under attack against the radius.

    One run has a curve for each attack and one for the closest of all. Several runs have one each.
    A curve of attacks within a radius ends there, with a dot. Neither pyplot's current figure nor
    any setting changes.

    Args:
        runs: A run, its records or its directory; or several, in a list or by label.
        ax: The axis to draw on; by default that of a new figure.
        norm: The norm of the radii; by default that of the attacks.
        attacks: The attacks to draw, by their names or specs.
        epsilons: Radii to mark by vertical lines.
        bands: Whether to draw the 95 % confidence interval at each radius: of up to 4 runs, or of
            the closest of all attacks of one run.

    Returns:
        The axis.

    Raises:
        InputError: If there is nothing to draw, or the attacks minimize different norms.
        MissingLibraryError: If Matplotlib is not installed.
    """
    parts = drawn_parts(labeled(runs), checked_norm(norm), attacks)
    curves = [curve_of(part, run, attack, norm) for (run, attack), part in parts.items()]
    axes = new_axes() if ax is None else ax
    end = _MARGIN * max([*map(_farthest, curves), *epsilons]) or 1.0
    styles = _styles(list(parts))
    first = _first_band(len({run for run, _ in parts}), len(curves))
    lines = [
        _draw(axes, curve, end, styles[key], band=bands and number >= first)
        for number, (key, curve) in enumerate(zip(parts, curves, strict=True))
    ]
    for epsilon in epsilons:
        axes.axvline(epsilon, color="0.5", linewidth=0.7, linestyle=":", zorder=1)
    axes.set(xlim=(0, end), ylim=(0, 100), xlabel=f"{norm_name(curves[0].norm)} radius")
    axes.set_ylabel("accuracy under attack (%)")
    axes.grid(color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    if len(curves) > 1:
        _add_legend(axes, lines, list(names_of(parts).values()))
    return axes


def _first_band(runs: int, curves: int) -> int:
    """Return the number of the first curve that has a band; those after it have one too."""
    if runs == 1:  # its curves are too near each other for a band each
        return curves - 1
    return 0 if curves <= _MOST_BANDS else curves


def _styles(keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the style of each curve.

    They differ in color and dashes. If several runs have several curves each, colors distinguish
    the runs, and dashes the attacks. The last curve of a run with several, that of the closest of
    all, is a wide gray line under the others: one of them is often equal to it.
    """
    runs, attacks = (list(dict.fromkeys(key[place] for key in keys)) for place in (0, 1))
    found = {}
    for number, (run, attack) in enumerate(keys):
        both = 1 < len(runs) < len(keys)
        color, dashes = (runs.index(run), attacks.index(attack)) if both else (number, number)
        found[run, attack] = _style(color, dashes)
    if len(runs) == 1 and len(attacks) > 1:
        found = {key: _style(number, number + 1) for number, key in enumerate(keys)}
        found[keys[-1]] = {"color": "0.6", "dashes": (), "linewidth": 3.6, "zorder": 1.9}
    return found


def _style(color: int, dashes: int) -> dict[str, Any]:
    return {
        "color": COLORS[color % len(COLORS)],
        "dashes": LINES[dashes % len(LINES)],
        "linewidth": 1.4,
    }


def _draw(axes: "Axes", curve: Curve, end: float, style: Mapping[str, Any], *, band: bool) -> Any:
    """Draw a curve up to the end of the axis, or of what is known, and return its line."""
    stop = min(curve.limit, end)
    radii = [*curve.radii, max(stop, curve.radii[-1])]
    accuracy, low, high = (
        [*(100 * values), 100 * values[-1]] for values in (curve.accuracy, curve.low, curve.high)
    )
    if band:
        axes.fill_between(
            radii, low, high, step="post", color=style["color"], alpha=0.13, linewidth=0
        )
    (line,) = axes.plot(radii, accuracy, drawstyle="steps-post", solid_capstyle="butt", **style)
    if math.isfinite(curve.limit):
        axes.plot(
            [stop], accuracy[-1:], marker="o", markersize=3.5, color=style["color"], clip_on=False
        )
    return line


def _farthest(curve: Curve) -> float:
    """Return the radius from which a curve hardly falls any more."""
    if math.isfinite(curve.limit):
        return curve.limit
    low = curve.accuracy[-1] + _LOW
    return float(curve.radii[(curve.accuracy > low).sum()])


def _add_legend(axes: "Axes", lines: Sequence[Any], names: Sequence[str]) -> None:
    """Add a legend; a name may be any text."""
    # Matplotlib leaves out a name that begins with an underscore.
    labels = [
        f" {shown_name(name)}" if name.startswith("_") else shown_name(name) for name in names
    ]
    legend = axes.legend(lines, labels, loc="upper right", fontsize="small", handlelength=3)
    for text in legend.get_texts():
        plain(text)
