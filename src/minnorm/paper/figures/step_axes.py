"""Drawings of the steps of attacks over the decision regions of a classifier of the plane."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.attacks import Model
from minnorm.evaluation.estimates import Array
from minnorm.paper.figures.files import new_figure
from minnorm.paper.figures.steps import Step, Walk
from minnorm.report.figures.drawing import COLORS, import_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUE_REGION, OTHER_REGION = "#d9e8f5", "#fbe8d3"
"""The colors of the region of the true class, and of the others."""

BOUNDARY = "#8a8a8a"
ITERATE, GRADIENT, SPHERE, CLOSEST = COLORS[0], COLORS[1], "#4d4d4d", COLORS[2]
"""The colors of what is drawn over the regions."""

_GRID = 121
"""Points along a side of the grid on which the regions are drawn."""

_LAST = 8
"""The number of last points that are shown magnified."""

_INSET, _EDGE = 0.46, 0.015
"""The side of the magnified part, and its distance from the edges, relative to the panel."""

_GAP = 0.07
"""The distance between points that have a number each, relative to the width of a panel."""


@dataclass(frozen=True)
class Window:
    """The part of the plane that a panel shows.

    Attributes:
        left, right, bottom, top: Its sides.
    """

    left: float
    right: float
    bottom: float
    top: float

    def contains(self, point: Float[Tensor, "2"]) -> bool:
        """Return whether it shows a point."""
        x, y = point.tolist()
        return bool(self.left <= x <= self.right and self.bottom <= y <= self.top)


def window_around(points: Float[Tensor, "n 2"], *, around: float, ratio: float = 1.0) -> Window:
    """Return a window around points.

    Args:
        points: The points.
        around: The space on all sides together, relative to the extent of the points.
        ratio: Its height relative to its width.
    """
    low, high = points.amin(0), points.amax(0)
    (x, y), (width, height) = ((low + high) / 2).tolist(), (high - low).tolist()
    half = max(width, height / ratio) * (1 + around) / 2
    return Window(x - half, x + half, y - half * ratio, y + half * ratio)


def margins_on_grid(model: Model, label: int, window: Window) -> tuple[Array, Array, Array]:
    """Return the margin of a class on a grid: coordinates, and where it is below 0, another class.

    Args:
        model: The classifier, of two classes.
        label: The class.
        window: The part of the plane.
    """
    x = torch.linspace(window.left, window.right, _GRID, dtype=torch.float64)
    y = torch.linspace(window.bottom, window.top, _GRID, dtype=torch.float64)
    points = torch.cartesian_prod(y, x).flip(1)
    logits = model(points)
    margins = (logits[:, label] - logits[:, 1 - label]).reshape(_GRID, _GRID)
    return x.numpy(), y.numpy(), margins.numpy()


def draw_steps(
    model: Model, ddn: Walk, steps: Sequence[Step], pursuit: Walk, closest: Float[Tensor, "2"]
) -> "Figure":
    """Return figure 3: two steps of DDN, its whole path, and that of normal pursuit.

    Args:
        model: The classifier.
        ddn: What DDN has evaluated and found.
        steps: Its steps.
        pursuit: What normal pursuit has evaluated and found.
        closest: The closest adversarial.
    """
    figure = new_figure(7.0, 7.3, w_pad=0.06, h_pad=0.06)
    axes = figure.subplots(2, 2).ravel()
    outside = next(step for step in steps[1:] if not step.adversarial)
    inside = next(step for step in steps if step.adversarial)
    _draw_step(axes[0], model, ddn, outside)
    axes[0].set_title("(a) not adversarial: the norm grows")
    _draw_step(axes[1], model, ddn, inside)
    axes[1].set_title("(b) adversarial: the norm shrinks")
    far = 1 - _INSET - _EDGE
    _draw_walk(axes[2], model, ddn, closest, (far, _EDGE))
    axes[2].set_title(f"(c) DDN: distance {ddn.distance:.3f}")
    _draw_walk(axes[3], model, pursuit, closest, (_EDGE, far))
    axes[3].set_title(f"(d) normal pursuit: distance {pursuit.distance:.3f}")
    _add_legend(figure, float((closest - ddn.origin).norm()))
    return figure


def _draw_regions(axes: "Axes", model: Model, label: int, window: Window) -> None:
    """Draw the regions of the classes, and nothing else: no ticks, equal scales."""
    x, y, margins = margins_on_grid(model, label, window)
    axes.set_facecolor(OTHER_REGION)
    axes.contourf(x, y, margins, [0, max(float(margins.max()), 1.0)], colors=[TRUE_REGION])
    axes.contour(x, y, margins, [0], colors=[BOUNDARY], linewidths=0.8)
    axes.set(xlim=(window.left, window.right), ylim=(window.bottom, window.top), aspect="equal")
    axes.set(xticks=[], yticks=[])


def _draw_step(axes: "Axes", model: Model, walk: Walk, step: Step) -> None:
    """Draw one step as in the paper: the gradient step, and the projection onto the new sphere."""
    ahead = step.start + step.gradient
    window = window_around(torch.stack([walk.origin, step.start, ahead, step.end]), around=0.4)
    _draw_regions(axes, model, walk.label, window)
    for place, radius in enumerate(step.radii):
        _draw_sphere(axes, walk.origin, radius, dashed=place == 1)
    _draw_line(axes, walk.origin, ahead, color=ITERATE, linestyle=(0, (2, 2)), linewidth=1.0)
    axes.annotate(
        "",
        _pair(ahead),
        _pair(step.start),
        arrowprops={"arrowstyle": "-|>", "color": GRADIENT, "linewidth": 1.5, "shrinkB": 0},
    )
    _write(axes, step.start + 0.6 * step.gradient, "$g$", _across(step.gradient, 9), color=GRADIENT)
    _draw_origin(axes, walk.origin)
    side = 14.0 if _turns_left(step.start - walk.origin, step.end - walk.origin) else -14.0
    for number, point, away in (
        (step.number - 1, step.start, -side),
        (step.number, step.end, side),
    ):
        _draw_point(axes, point, filled=walk.adversarial[number], size=6)
        name = rf"$\tilde{{x}}_{{{number}}}$"
        _write(axes, point, name, _across(point - walk.origin, away), color=ITERATE)


def _draw_walk(
    axes: "Axes",
    model: Model,
    walk: Walk,
    closest: Float[Tensor, "2"],
    corner: tuple[float, float],
) -> None:
    """Draw all points of an attack, and the last ones again, magnified, in a corner."""
    everything = torch.cat([walk.points, closest[None]])
    _draw_points(axes, model, walk, closest, window_around(everything, around=0.3), gap=_GAP)
    near = walk.points[-_LAST:]
    inset = axes.inset_axes((*corner, _INSET, _INSET))
    magnified = window_around(near, around=0.5)
    _draw_points(inset, model, walk, closest, magnified, gap=_GAP / _INSET)
    axes.indicate_inset_zoom(inset, edgecolor="black", alpha=0.6, linewidth=0.7)


def _draw_points(
    axes: "Axes",
    model: Model,
    walk: Walk,
    closest: Float[Tensor, "2"],
    window: Window,
    *,
    gap: float,
) -> None:
    """Draw the points of an attack; only those with a gap to the others get a number."""
    _draw_regions(axes, model, walk.label, window)
    _draw_sphere(axes, walk.origin, float((closest - walk.origin).norm()), dashed=True)
    for start, end in pairwise(walk.points):
        _draw_line(axes, start, end, color=ITERATE, linewidth=0.6)
    if window.contains(walk.origin):
        _draw_origin(axes, walk.origin)
    axes.plot(*closest.tolist(), marker="*", markersize=9, color=CLOSEST, zorder=4)
    numbered = [walk.origin]
    least = gap * (window.right - window.left)
    for number, point in enumerate(walk.points[1:], start=1):
        _draw_point(axes, point, filled=walk.adversarial[number], size=3.5)
        if min(float((point - other).norm()) for other in numbered) < least:
            continue
        numbered.append(point)
        if window.contains(point):
            toward = _along(walk.origin - point, 8)
            _write(axes, point, str(number), toward, color=ITERATE, size=6.5)


def _draw_sphere(axes: "Axes", center: Float[Tensor, "2"], radius: float, *, dashed: bool) -> None:
    style = (0, (5, 3)) if dashed else "-"
    circle = import_matplotlib().patches.Circle(
        center.tolist(), radius, fill=False, edgecolor=SPHERE, linewidth=0.8, linestyle=style
    )
    axes.add_patch(circle)


def _draw_line(axes: "Axes", start: Tensor, end: Tensor, **style: Any) -> None:
    (x, y), (u, v) = start.tolist(), end.tolist()
    axes.plot([x, u], [y, v], **style)


def _draw_origin(axes: "Axes", origin: Float[Tensor, "2"]) -> None:
    axes.plot(*origin.tolist(), marker="x", markersize=6, color="black", markeredgewidth=1.5)
    _write(axes, origin, "$x$", (-9, -4), color="black")


def _draw_point(axes: "Axes", point: Float[Tensor, "2"], *, filled: bool, size: float) -> None:
    """Draw a point: a disk if it is adversarial, else a circle."""
    face = ITERATE if filled else "white"
    axes.plot(
        *point.tolist(),
        marker="o",
        markersize=size,
        color=face,
        markeredgecolor=ITERATE,
        markeredgewidth=1.0,
        zorder=5,
    )


def _write(
    axes: "Axes",
    point: Float[Tensor, "2"],
    text: str,
    offset: tuple[float, float],
    *,
    color: str,
    size: float = 10.0,
) -> None:
    """Write a text beside a point; the offset is in points."""
    axes.annotate(
        text,
        _pair(point),
        offset,
        textcoords="offset points",
        ha="center",
        va="center",
        color=color,
        fontsize=size,
        zorder=7,
        path_effects=[_halo()],
    )


def _halo() -> Any:
    """Return a white edge around letters, so that lines do not cross them."""
    from matplotlib.patheffects import withStroke  # the figure was made by it

    return withStroke(linewidth=1.5, foreground="white")


def _turns_left(before: Float[Tensor, "2"], after: Float[Tensor, "2"]) -> bool:
    """Return whether a direction turns to the left of another one."""
    return bool(before[0] * after[1] > before[1] * after[0])


def _along(direction: Float[Tensor, "2"], length: float) -> tuple[float, float]:
    """Return an offset along a direction."""
    return _pair(length * direction / direction.norm())


def _across(direction: Float[Tensor, "2"], length: float) -> tuple[float, float]:
    """Return an offset at a right angle to a direction."""
    x, y = _along(direction, length)
    return -y, x


def _add_legend(figure: "Figure", distance: float) -> None:
    """Explain what the panels show, below them."""
    line, patch = import_matplotlib().lines.Line2D, import_matplotlib().patches.Patch
    disk = {"linestyle": "", "marker": "o", "markeredgecolor": ITERATE, "markersize": 5}
    entries = [
        (patch(color=TRUE_REGION), "true class"),
        (patch(color=OTHER_REGION), "other class"),
        (line([], [], color="white", **disk), "not adversarial"),
        (line([], [], color=ITERATE, **disk), "adversarial"),
        (line([], [], linestyle="", marker="*", color=CLOSEST, markersize=9),
         f"closest adversarial: {distance:.3f}"),
        (line([], [], color=GRADIENT, linewidth=1.5), "$g$, step along the gradient"),
        (line([], [], color=SPHERE, linewidth=0.8), "sphere of the norm"),
        (line([], [], color=SPHERE, linewidth=0.8, linestyle=(0, (5, 3))),
         "next norm; in (c) and (d), that of the closest"),
    ]  # fmt: skip
    handles, names = zip(*entries, strict=True)
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=7)


def _pair(point: Float[Tensor, "2"]) -> tuple[float, float]:
    x, y = point.tolist()
    return x, y
