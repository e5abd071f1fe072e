"""What all figures of the paper share: new figures of several panels, and files."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from minnorm.report.figures.drawing import import_matplotlib
from minnorm.report.figures.files import save_figure
from minnorm.runtime import ranks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = ("svg", "png")
"""The formats of a figure: one for pages and papers, and one that can be seen everywhere."""


def new_figure(width: float, height: float, **layout: float) -> "Figure":
    """Return a new figure, which pyplot does not know.

    Args:
        width: The width in inches.
        height: The height in inches.
        layout: The spaces of its constrained layout.

    Raises:
        MissingLibraryError: If Matplotlib is not installed.
    """
    figure: Figure = import_matplotlib().figure.Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", **layout)
    return figure


def write_figure(folder: Path, name: str, draw: Callable[[], "Figure"]) -> tuple[str, ...]:
    """Write a figure as SVG and as PNG, and return the names of the files.

    Of several ranks, the first one writes them.

    Args:
        folder: The folder of the experiment.
        name: The name of the files without an ending.
        draw: A function that draws the figure; it is called once for each file.
    """
    names = tuple(f"{name}.{ending}" for ending in ENDINGS)
    for file in names if ranks.rank() == 0 else ():
        save_figure(lambda _: draw().axes[0], folder / file)
    return names
