"""A gallery of adversarials on a Matplotlib axis."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minnorm.errors import InputError
from minnorm.evaluation.estimates import Array
from minnorm.geometry import Norm
from minnorm.report.facts.classes import class_name
from minnorm.report.facts.gallery import GalleryItem, gallery
from minnorm.report.figures.drawing import (
    Drawable,
    checked_norm,
    labeled,
    new_axes,
    plain,
    shown_distance,
    shown_name,
)
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import norm_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS = ("original", "adversarial", "perturbation")
"""The rows of a gallery."""

_SMALLEST_SIDE = 256
"""Pixels of an image in a figure: many viewers blur images with fewer."""

_GAP = 0.05
"""The space between images, in units of the width of an image, as all lengths here."""

_LINE = 0.15
"""The height of a line of text."""

_LETTER = 0.62
"""The width of a letter, relative to its size."""

_SHORT = 11
"""The most letters of two names of classes on one line."""

_ALONE = 0.7
"""The share of the width of a figure from which an axis is the only one."""

_LARGEST_TEXT = 9.0
"""The largest size of a text in points."""


def plot_gallery(
    run: Drawable,
    attack: str | None = None,
    *,
    count: int = 6,
    ax: "Axes | None" = None,
    norm: Norm | None = None,
) -> "Axes":
    """Draw originals, adversarials and perturbations of a run, from nearest to farthest.

    Above each original are its predicted class, that of the adversarial, and the distance. Below
    each perturbation is the factor by which it is magnified; gray is 0. Neither pyplot's current
    figure nor any setting changes.

    Args:
        run: A run that has kept its adversarials, or its directory.
        attack: The attack, by its name or spec; by default the closest of all.
        count: The number of adversarials, evenly chosen by rank.
        ax: The axis to draw on; by default that of a new figure.
        norm: The norm of the distances; by default that of the attack.

    Returns:
        The axis.

    Raises:
        InputError: If there are no images to draw.
        MissingLibraryError: If Matplotlib or Pillow is not installed.
    """
    if count < 1:
        raise InputError(f"count={count}: expected at least 1.")
    chosen = labeled(run)[0]
    shown = gallery(chosen, count, checked_norm(norm), attack)
    if not shown.items:
        raise InputError(f"there are no images to draw: {shown.remark}")
    titles = _titles(chosen, shown.items, shown.norm)
    images = [[pixels_of(png) for png in _pictures(item)] for item in shown.items]
    height = images[0][0].shape[0] / images[0][0].shape[1]
    bottom, width = 3 * height + 2 * _GAP, len(images) * (1 + _GAP) - _GAP
    lines = max(title.count("\n") for title in titles) + 1
    top = lines * _LINE + _GAP
    axes = new_axes(_size(width + _LINE, bottom + top + _LINE)) if ax is None else ax
    size = _text_size(axes, len(images), titles)
    for number, (item, title) in enumerate(zip(shown.items, titles, strict=True)):
        left = number * (1 + _GAP)
        for row, pixels in enumerate(images[number]):
            above = row * (height + _GAP)
            _draw(axes, pixels, (left, left + 1, above + height, above))
        center = left + 0.5
        plain(axes.text(center, -_GAP, title, ha="center", va="bottom", fontsize=size))
        below = bottom + _GAP / 2
        axes.text(
            center,
            below,
            f"\N{MULTIPLICATION SIGN} {item.magnification:g}",
            ha="center",
            va="top",
            fontsize=size,
        )
    for row, name in enumerate(ROWS):
        place = row * (height + _GAP) + height / 2
        axes.text(-_GAP, place, name, rotation=90, ha="right", va="center", fontsize=size)
    axes.set(xlim=(-_LINE - _GAP, width), ylim=(bottom + _LINE + _GAP, -top), aspect="equal")
    axes.set_axis_off()
    return axes


def _pictures(item: GalleryItem) -> tuple[bytes, bytes, bytes]:
    return item.original, item.adversarial, item.perturbation


def _titles(run: LabeledRun, items: Sequence[GalleryItem], norm: Norm) -> list[str]:
    """Return the lines above each original; if a name is long, all classes have their own line."""
    names = [
        [
            shown_name(class_name(run, label))
            for label in (item.clean_prediction, item.adversarial_prediction)
        ]
        for item in items
    ]
    are_short = all(len(before) + len(after) <= _SHORT for before, after in names)
    space = " " if are_short else "\n"
    return [
        f"{before}{space}→ {after}\n{norm_name(norm)} {shown_distance(item.distance)}"
        for item, (before, after) in zip(items, names, strict=True)
    ]


def _text_size(axes: "Axes", columns: int, titles: Sequence[str]) -> float:
    """Return the size of texts, in points, that fits to the images."""
    points = 72 * axes.figure.bbox.width / axes.figure.dpi
    share = axes.get_position().width
    if share > _ALONE:  # a layout will remove the margins
        share = 0.95
    column = share * points / columns
    longest = max(len(line) for title in titles for line in title.split("\n"))
    return float(min(_LARGEST_TEXT, column * _LINE / 1.3, column / (_LETTER * longest)))


def _size(width: float, height: float) -> tuple[float, float]:
    """Return the size of a figure in inches for an axis of a width and a height."""
    inches = min(1.1 * width, 7.0)
    return inches, inches * height / width


def pixels_of(png: bytes) -> Array:
    """Return the pixels of a PNG file, each repeated so often that no viewer blurs them."""
    from PIL import Image  # the file was made by it

    pixels = np.asarray(Image.open(io.BytesIO(png)))
    times = -(-_SMALLEST_SIDE // min(pixels.shape[:2]))
    return pixels.repeat(times, 0).repeat(times, 1)


def _draw(axes: "Axes", pixels: Array, extent: tuple[float, float, float, float]) -> None:
    """Draw an image in a thin frame."""
    axes.imshow(
        pixels, extent=extent, cmap="gray", vmin=0, vmax=255, interpolation="nearest", zorder=1
    )
    left, right, low, high = extent
    axes.plot(
        [left, right, right, left, left],
        [low, low, high, high, low],
        color="0.6",
        linewidth=0.4,
        zorder=2,
        clip_on=False,
    )
