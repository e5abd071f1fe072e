"""Figures of runs as files for papers: PDF, SVG or PNG.

The same runs and the same version of Matplotlib give the same bytes: no file holds a date.
"""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from minnorm.errors import InputError
from minnorm.files import named_by, write_content
from minnorm.report.figures.drawing import import_matplotlib, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("pdf", "svg", "png")
"""The endings of the files."""

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "savefig.dpi": 300,
    "svg.fonttype": "path",
    "svg.hashsalt": "minnorm",
}
"""Settings of Matplotlib while a figure is made."""

_METADATA: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
    "png": {},
}
"""What a file must not hold: the time at which it was made."""

_LARGEST_SIDE = 50.0
"""The largest width or height in inches."""


def save_figure(
    draw: Callable[["Axes | None"], "Axes"], path: Path, size: tuple[float, float] | None = None
) -> None:
    """Draw a figure and write it to a file, whose ending is its format; an old file is replaced.

    Args:
        draw: A function that draws on an axis, or on that of a new figure if it gets `None`, and
            returns it, for example `lambda ax: plot_curves("runs/a", ax=ax)`.
        path: The file.
        size: The width and the height of the figure in inches; by default a suitable one.

    Raises:
        InputError: If the path is a folder or has another ending, or the size is impossible;
            or if the file cannot be written.
        MissingLibraryError: If Matplotlib is not installed.
    """
    file_format = check_file(path)
    check_size(size)
    matplotlib = import_matplotlib()
    content = io.BytesIO()
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # A class may have a name in letters that the font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        axes = draw(None if size is None else new_axes(size))
        figure = cast("Figure", axes.figure)
        figure.savefig(content, format=file_format, metadata=_METADATA[file_format])
    with named_by("--out", path):
        write_content(path, content.getvalue())


def check_file(path: Path) -> str:
    """Return the format of the file of a figure, before any work.

    Raises:
        InputError: If the path is a folder, or has another ending.
    """
    file_format = path.suffix.lower().removeprefix(".")
    if file_format not in FORMATS:
        raise InputError(
            f"{path}: expected a file that ends in .pdf, .svg or .png, for example "
            f"{path.stem or 'figure'}.pdf."
        )
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file for the figure.")
    return file_format


def check_size(size: tuple[float, float] | None) -> None:
    """Check the size of a figure.

    Raises:
        InputError: If a side is not above 0 and at most 50 inches.
    """
    if size is not None and not all(0 < side <= _LARGEST_SIDE for side in size):
        raise InputError(
            f"the size {size[0]:g} x {size[1]:g}: expected a width and a height in inches, above 0 "
            f"and at most {_LARGEST_SIDE:g}."
        )
