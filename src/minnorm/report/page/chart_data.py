"""The data of the charts of one norm, for their drawings, controls and tables alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minnorm.evaluation import Estimate, UpperBound
from minnorm.evaluation.estimates import UNKNOWN
from minnorm.geometry import Norm
from minnorm.report.facts.curves import Curve, curves
from minnorm.report.facts.distances import Distances, distances
from minnorm.report.page.charts import curves_chart, distances_chart
from minnorm.report.page.series import Style, styles
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import attack_text, norm_name
from minnorm.runtime.terminal import printable

FEW_CURVES = 4
"""So many curves are all shown at first; of more, the closest of each run."""

MOST_HISTOGRAMS = 12
"""The most histograms that are shown; of more, the closest of each run."""

TABLE_ROWS = 25
"""The number of radii in the table behind the curves."""

_WIDTHS = {True: 2.6, False: 1.6}
"""The width of a curve in pixels, by whether it is the closest of its run."""

_FARTHEST = 1.5
"""How far the axis reaches beyond the last fall of a closest curve, as a factor."""

_DIGITS = 9
"""The significant digits of a radius on the page: those of float32."""


@dataclass(frozen=True)
class Choice:
    """A run or an attack that readers switch on and off.

    Attributes:
        id: Its number among the runs or the attacks of the chart.
        name: Its name.
        style: The style of its curves, as far as they share one.
        shown: Whether its curves are shown at first.
    """

    id: int
    name: str
    style: Style
    shown: bool


@dataclass(frozen=True)
class NormCharts:
    """The charts of one norm.

    Attributes:
        norm: The norm.
        name: The norm as readers write it.
        runs: The runs.
        attacks: The attacks, those of all runs with the same name as one.
        curves: The curves, each with its identifier, style, and whether it is the closest of its
            run.
        histograms: The distributions of distances.
        left_out: The number of histograms that are not shown.
        farthest: The end of the axis of the curves.
        step: The steps in which a reader moves along this axis.
        radius: The radius at which a reader starts.
    """

    norm: Norm
    name: str
    runs: tuple[Choice, ...]
    attacks: tuple[Choice, ...]
    curves: tuple[tuple[str, Curve, Style, bool], ...]
    histograms: tuple[tuple[Distances, Style], ...]
    left_out: int
    farthest: float
    step: float
    radius: float

    def table(self) -> list[tuple[float, list[Estimate]]]:
        """Return radii with the accuracy of each curve there; NaN if it is unknown."""
        radii = np.linspace(0, self.farthest, TABLE_ROWS).tolist()
        return [
            (radius, [value_at(curve, radius) for _, curve, _, _ in self.curves])
            for radius in radii
        ]

    def values(self) -> dict[str, Any]:
        """Return what the script of the page needs: JSON values."""
        several = len(self.runs) > 1
        end = max(float(one.edges[-1]) for one, _ in self.histograms)
        return {
            "norm": self.norm,
            "farthest": self.farthest,
            "curves_chart": curves_chart(self.norm, self.farthest),
            "distances_chart": distances_chart(self.norm, len(self.histograms), end),
            "curves": [
                {
                    "id": id_,
                    "number": number,
                    "run": str(_position(self.runs, curve.run)),
                    "attack": str(_position(self.attacks, curve.attack)),
                    **_style_values(style),
                    "closest": closest,
                    "width": _WIDTHS[closest],
                    "radii": [float(f"{radius:.{_DIGITS}g}") for radius in curve.radii],
                    "accuracy": _rounded(curve.accuracy),
                    "low": _rounded(curve.low),
                    "high": _rounded(curve.high),
                    **({"at_most": curve.at_most.tolist()} if curve.at_most.any() else {}),
                    "limit": None if math.isinf(curve.limit) else curve.limit,
                }
                for number, (id_, curve, style, closest) in enumerate(self.curves)
            ],
            "distances": [
                {
                    "name": printable(
                        (f"{one.run}, " if several else "") + attack_text(one.attack)
                    ),
                    "color": style.color,
                    "edges": [float(f"{edge:.{_DIGITS}g}") for edge in one.edges],
                    "counts": [int(count) for count in one.counts],
                    "median": _finite(one.quantiles[0.5]),
                }
                for one, style in self.histograms
            ],
        }


def norm_charts(
    runs: Sequence[LabeledRun], norm: Norm, *, only: bool, radii: Sequence[float]
) -> NormCharts:
    """Return the charts of one norm.

    Args:
        runs: The runs.
        norm: The norm.
        only: Whether all attacks are measured in this norm; otherwise those that minimize it.
        radii: The radii of interest; a reader starts in the middle.
    """
    chosen = norm if only else None
    by_run = [[one for one in curves(run, chosen) if one.norm == norm] for run in runs]
    found = [(one, one is part[-1]) for part in by_run for one in part]
    look = styles([(one.run, one.attack) for one, _ in found])
    closest = {(one.run, one.attack) for one, is_closest in found if is_closest}
    parts = [one for run in runs for one in distances(run, chosen) if one.norm == norm]
    shown = (
        parts
        if len(parts) <= MOST_HISTOGRAMS
        else [one for one in parts if (one.run, one.attack) in closest]
    )
    farthest, step = _axis(found)
    few = len(found) <= FEW_CURVES
    important = {attack for _, attack in closest}
    names = dict.fromkeys(one.run for one, _ in found)
    attacks = dict.fromkeys(one.attack for one, _ in found)
    return NormCharts(
        norm=norm,
        name=norm_name(norm),
        runs=tuple(
            Choice(number, name, next(look[key] for key in look if key[0] == name), shown=True)
            for number, name in enumerate(names)
        ),
        attacks=tuple(
            Choice(
                number,
                name,
                next(look[key] for key in look if key[1] == name),
                shown=few or name in important,
            )
            for number, name in enumerate(attacks)
        ),
        curves=tuple(
            (f"{norm}-{number}", one, look[one.run, one.attack], is_closest)
            for number, (one, is_closest) in enumerate(found)
        ),
        histograms=tuple((one, look[one.run, one.attack]) for one in shown),
        left_out=len(parts) - len(shown),
        farthest=farthest,
        step=step,
        radius=min(radii[len(radii) // 2], farthest) if radii else 0.0,
    )


def value_at(curve: Curve, radius: float) -> Estimate:
    """Return the accuracy of a curve at a radius; NaN beyond its limit."""
    if radius > curve.limit:
        return UNKNOWN
    step = int(np.searchsorted(curve.radii, radius, side="right")) - 1
    kind = UpperBound if curve.at_most[step] else Estimate
    return kind(float(curve.accuracy[step]), float(curve.low[step]), float(curve.high[step]))


def _axis(found: Sequence[tuple[Curve, bool]]) -> tuple[float, float]:
    """Return the end of the axis, and a round step in which to move along it."""
    ends = [(float(curve.radii[-1]), is_closest) for curve, is_closest in found]
    # An attack that ends far off would press the other curves to the left.
    most = _FARTHEST * max((end for end, is_closest in ends if is_closest), default=0.0)
    limits = [curve.limit for curve, _ in found if 0 < curve.limit < math.inf]
    farthest = min(max((end for end, _ in ends), default=0.0), most or math.inf)
    farthest = farthest or max(limits, default=1.0)
    step = 10.0 ** math.floor(math.log10(farthest / 100))
    count = math.ceil(1.02 * farthest / step)
    return float(f"{count * step:.12g}"), step


def _style_values(style: Style) -> dict[str, Any]:
    return {"color": style.color, "dash": list(style.dash), "marker": style.marker}


def _position(choices: Sequence[Choice], name: str) -> int:
    return next(choice.id for choice in choices if choice.name == name)


def _rounded(shares: Any) -> list[float]:
    return [round(float(share), 6) for share in shares]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
