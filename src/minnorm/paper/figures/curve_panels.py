"""Panels of curves: the accuracy under attack against the radius, a panel for each data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from minnorm.evaluation import Records
from minnorm.paper.figures.files import new_figure
from minnorm.report.facts.curves import curve_of
from minnorm.report.figures.drawing import COLORS, LINES, import_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 3.6, 3.1
"""The size of a panel in inches."""

_NARROWEST, _WIDEST = 5.4, 8.4
"""The least width of a figure, for its legend, and the largest, so that its texts stay readable."""

_LEGEND = 0.6
"""The height of a legend below the panels in inches."""

_PAPERS = "D"
"""The marker of the points of the paper."""


@dataclass(frozen=True)
class NetworkCurves:
    """The curves of a network.

    Attributes:
        label: Its name in the figure.
        color: Its color among several networks, the same in all panels.
        attacks: The records of each attack, by its name.
        closest: The closest of these attacks, `None` if one of them was not measured.
        points: The accuracy of the paper under all of its attacks, by radius.
    """

    label: str
    color: str
    attacks: Mapping[str, Records]
    closest: Records | None
    points: Mapping[float, float]


@dataclass(frozen=True)
class CurvePanel:
    """A panel.

    Attributes:
        title: Its title.
        networks: Its networks, those that were measured.
        compares: What a color is: a network, and the dashes are those of the attacks, or an attack
            on the only network.
        end: The largest radius shown.
    """

    title: str
    networks: Sequence[NetworkCurves]
    compares: Literal["networks", "attacks"]
    end: float


def draw_curves(panels: Sequence[CurvePanel]) -> "Figure":
    """Return a figure with the panels side by side, and one legend below them.

    Args:
        panels: The panels, which all compare the same.
    """
    several = panels[0].compares == "networks"
    width = min(max(_WIDTH * len(panels), _NARROWEST), _WIDEST)
    figure = new_figure(width, _HEIGHT + _LEGEND)
    styles = _attack_styles(panels, several=several)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        if several:
            _draw_networks(axes, panel, styles)
        else:
            for name, records in panel.networks[0].attacks.items():
                _draw_curve(axes, records, panel.end, **styles[name])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set(xlim=(0, panel.end), ylim=(0, 100), xlabel="L2 radius", title=panel.title)
    all_axes[0].set_ylabel("accuracy under attack (%)")
    _add_legend(figure, panels, styles, several=several)
    return figure


def _attack_styles(panels: Sequence[CurvePanel], *, several: bool) -> dict[str, dict[str, Any]]:
    """Return the style of each attack, the same in all panels; colors may be those of networks."""
    names = dict.fromkeys(
        name for panel in panels for network in panel.networks for name in network.attacks
    )
    first = 1 if several else 0  # solid lines are those of networks
    return {
        name: {
            "color": "0.4" if several else COLORS[number % len(COLORS)],
            "dashes": LINES[number % len(LINES)],
            "linewidth": 0.8 if several else 1.3,
        }
        for number, name in enumerate(names, start=first)
    }


def _draw_networks(
    axes: "Axes", panel: CurvePanel, styles: Mapping[str, Mapping[str, Any]]
) -> None:
    """Draw the closest of all attacks on each network, each attack thin, and the paper's points."""
    for network in panel.networks:
        color = network.color
        if network.closest is not None:
            _draw_curve(axes, network.closest, panel.end, band=True, color=color, linewidth=2.0)
        for name, records in network.attacks.items():
            style = {**styles[name], "color": color}
            _draw_curve(axes, records, panel.end, **style)
        for radius, accuracy in network.points.items():
            axes.plot(
                [radius],
                [100 * accuracy],
                marker=_PAPERS,
                markersize=4.5,
                color="white",
                markeredgecolor=color,
                markeredgewidth=1.3,
                zorder=5,
                clip_on=False,
            )


def _draw_curve(
    axes: "Axes", records: Records, end: float, *, band: bool = False, **style: Any
) -> None:
    """Draw a curve up to a radius, or as far as it is known."""
    curve = curve_of(records, "", "")
    radii = [*curve.radii, max(min(curve.limit, end), curve.radii[-1])]
    accuracy, low, high = (
        [*(100 * values), 100 * values[-1]] for values in (curve.accuracy, curve.low, curve.high)
    )
    if band:
        color = style["color"]
        axes.fill_between(radii, low, high, step="post", color=color, alpha=0.15, linewidth=0)
    axes.plot(radii, accuracy, drawstyle="steps-post", solid_capstyle="butt", **style)


def _add_legend(
    figure: "Figure",
    panels: Sequence[CurvePanel],
    styles: Mapping[str, Mapping[str, Any]],
    *,
    several: bool,
) -> None:
    """Explain the curves below the panels."""
    line = import_matplotlib().lines.Line2D
    entries = {}
    if several:
        for network in (network for panel in panels for network in panel.networks):
            entries[network.label] = line([], [], color=network.color, linewidth=2.0)
        entries["the paper, closest of its attacks"] = line(
            [], [], linestyle="", marker=_PAPERS, color="white", markeredgecolor="0.3", markersize=5
        )
    for name, style in styles.items():
        entries[name] = line([], [], **style)
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize="small",
        handlelength=3.5,
    )
