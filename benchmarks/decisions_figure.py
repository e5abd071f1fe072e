"""The figure of `decisions.py`: the median norm against the number of queries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from cost_figure import THEMES

STYLES = {
    "decision_pursuit": ("decision pursuit (this package)", "o"),
    "hop_skip_jump": ("HopSkipJump (this package)", "s"),
    "foolbox HopSkipJump": ("HopSkipJump (foolbox)", "^"),
    "foolbox Boundary": ("Boundary (foolbox)", "D"),
    "ART HopSkipJump": ("HopSkipJump (ART)", "v"),
}
"""The attacks: the name in the legend, and the marker."""


def draw(measured: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """Draw a panel for each network; both axes are logarithmic.

    Args:
        measured: The rows of each attack, by network, from `decisions.py`.
        file: The file to write; its name says the format.
    """
    theme = THEMES["light"]
    with plt.rc_context({"svg.hashsalt": "minnorm", "font.size": 9}):
        drawing, panels = plt.subplots(
            1, len(measured), figsize=(3.3 * len(measured), 3.7), squeeze=False
        )
        for panel, (network, rows) in zip(panels[0], measured.items(), strict=True):
            for (name, (label, marker)), color in zip(STYLES.items(), theme.colors, strict=False):
                if name in rows:
                    medians = rows[name]["median"]
                    panel.plot(
                        list(medians), list(medians.values()), color=color, marker=marker,
                        label=label, linewidth=2.8 if name == "decision_pursuit" else 1.2,
                    )  # fmt: skip
            if "gradients" in rows:
                best = next(iter(rows["gradients"]["median"].values()))
                panel.axhline(best, color=theme.ink, linestyle=":", label="with gradients")
            marks = sorted({mark for line in rows.values() for mark in line["median"]})
            panel.set(xscale="log", yscale="log", xlabel="queries per sample", title=network)
            panel.set_xticks(marks, labels=[f"{mark:,}" for mark in marks])
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_minor_locator(NullLocator())
            panel.grid(color=theme.grid)
            panel.spines[["top", "right"]].set_visible(False)
        panels[0][0].set_ylabel("median L2 norm")
        handles, names = panels[0][0].get_legend_handles_labels()
        drawing.legend(handles, names, loc="lower center", ncols=3, frameon=False)
        drawing.tight_layout(rect=(0, 0.14, 1, 1))
        drawing.savefig(file, bbox_inches="tight", metadata={"Date": None})
        plt.close(drawing)
