"""Drawings of adversarials: one in detail, or rows of them with norm and class on each image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from minnorm.boxes import Interval
from minnorm.paper.figures.files import new_figure
from minnorm.report.facts.pictures import perturbation_picture, picture
from minnorm.report.figures.drawing import plain, shown_distance, shown_name
from minnorm.report.figures.gallery_axes import pixels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 7.0
"""The width of a figure in inches."""

_GAP = 0.06
"""The space between images, in units of their width, as all lengths in a panel."""

_EDGE = 0.05
"""The space between a text on an image and its edges."""

_SIZE = 6.5
"""The size of a text on an image in points."""


@dataclass(frozen=True)
class Detail:
    """An image and its adversarial.

    Attributes:
        original, adversarial: The images.
        bounds: The lowest and the highest value.
        clean_class, adversarial_class, target: The names of the predicted classes, and of the
            target class.
        norm: The L2 norm of the perturbation.
        largest: The largest change of a value.
        magnification: The factor of the perturbation in the picture.
    """

    original: Float[Tensor, "*d"]
    adversarial: Float[Tensor, "*d"]
    bounds: Interval
    clean_class: str
    adversarial_class: str
    target: str
    norm: float
    largest: float
    magnification: float


@dataclass(frozen=True)
class Example:
    """An adversarial.

    Attributes:
        index: The position of the image in the data.
        norm: The L2 norm of the perturbation.
        before, after: The names of the true class and of that of the adversarial.
        picture: The adversarial as a PNG file.
    """

    index: int
    norm: float
    before: str
    after: str
    picture: bytes


@dataclass(frozen=True)
class ExampleRow:
    """Adversarials of a network, from the nearest to the farthest.

    Attributes:
        label: The name of the network.
        of: The number of adversarials from which they are chosen.
        examples: The adversarials.
    """

    label: str
    of: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class ExamplePanel:
    """Rows of adversarials of the same data.

    Attributes:
        title: The title.
        rows: The rows.
    """

    title: str
    rows: tuple[ExampleRow, ...]


def draw_detail(detail: Detail) -> "Figure":
    """Return an image, its magnified perturbation, and the sum of both, with their classes."""
    figure = new_figure(_WIDTH, 2.75)
    perturbation = detail.adversarial - detail.original
    pictures = (
        picture(detail.original, detail.bounds),
        perturbation_picture(perturbation, detail.magnification, detail.bounds),
        picture(detail.adversarial, detail.bounds),
    )
    factor = f" \N{MULTIPLICATION SIGN} {detail.magnification:g}"
    titles = (
        "image",
        "perturbation" + (factor if detail.magnification > 1 else ""),
        "adversarial",
    )
    below = (
        shown_name(detail.clean_class),
        f"L2 norm {shown_distance(detail.norm)}",
        shown_name(detail.adversarial_class),
    )
    all_axes = figure.subplots(1, 3)
    for axes, png, title, text in zip(all_axes, pictures, titles, below, strict=True):
        _show(axes, png)
        axes.set_title(title)
        plain(axes.set_xlabel(text, fontsize=9, fontweight="bold"))
    for axes, sign in zip(all_axes[1:], "+=", strict=True):
        axes.text(-0.1, 0.5, sign, transform=axes.transAxes, ha="center", va="center", fontsize=16)
    return figure


def draw_rows(panels: Sequence[ExamplePanel]) -> "Figure":
    """Return rows of adversarials; on each its norm, and the class that it is taken for."""
    columns = max(len(row.examples) for panel in panels for row in panel.rows)
    rows = sum(len(panel.rows) for panel in panels)
    side = _WIDTH / (columns + 0.5)
    figure = new_figure(_WIDTH, rows * side + 0.45 * len(panels))
    heights = [len(panel.rows) for panel in panels]
    all_axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw_panel(axes, panel, columns)
    return figure


def _draw_panel(axes: "Axes", panel: ExamplePanel, columns: int) -> None:
    step = 1 + _GAP
    for down, row in enumerate(panel.rows):
        name = shown_name(row.label)
        middle = down * step + 0.5
        plain(axes.text(-_GAP, middle, name, rotation=90, ha="right", va="center", fontsize=7))
        for across, one in enumerate(row.examples):
            left, top = across * step, down * step
            axes.imshow(
                pixels_of(one.picture),
                extent=(left, left + 1, top + 1, top),
                cmap="gray",
                vmin=0,
                vmax=255,
                interpolation="nearest",
            )
            _write(axes, (left + _EDGE, top + _EDGE), shown_distance(one.norm), "left", "top")
            corner = (left + 1 - _EDGE, top + 1 - _EDGE)
            _write(axes, corner, shown_name(one.after), "right", "bottom")
    axes.set(
        xlim=(-0.35, columns * step - _GAP),
        ylim=(len(panel.rows) * step - _GAP, 0),
        aspect="equal",
        title=f"{panel.title}: from the nearest to the farthest adversarial",
    )
    axes.set_axis_off()


def _write(axes: "Axes", place: tuple[float, float], text: str, across: str, down: str) -> None:
    """Write a text on an image, white with a black edge."""
    from matplotlib.patheffects import withStroke  # the figure was made by it

    style: dict[str, Any] = {"ha": across, "va": down, "fontsize": _SIZE, "color": "white"}
    edge = withStroke(linewidth=1.6, foreground="black")
    plain(axes.text(*place, text, path_effects=[edge], **style))


def _show(axes: "Axes", png: bytes) -> None:
    axes.imshow(pixels_of(png), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="0.6", linewidth=0.5)
