"""Files of results."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def save_figure(drawing: "Figure", panel: "Axes", file: Path) -> None:
    """Save a figure with one panel of curves."""
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7)
    drawing.tight_layout()
    drawing.savefig(file)


def write(file: Path | None, result: dict[str, Any], tables: str | None = None) -> None:
    """Write a result as JSON, and its tables as Markdown beside it; nothing without a file.

    JSON has neither infinity nor NaN: an infinite median is null, and so is the mean of no values.
    """
    if file is None:
        return
    text = json.dumps(result, indent=2)
    text = text.replace(": Infinity", ": null").replace(": NaN", ": null")
    file.write_text(text + "\n")
    if tables is not None:
        file.with_suffix(".md").write_text(tables)
