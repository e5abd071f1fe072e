"""The figures of norm against cost, from the results of `anytime.py`: `make figures`.

One beside the results shows all networks, and two for the README, for light and dark pages, show
three of them. Points with fewer successes than the envelope are left out: their means are over
fewer and easier samples.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULTS = Path(__file__).parent / "results" / "anytime.json"
IMAGES = Path(__file__).parents[1] / "docs" / "images"

ATTACKS = {
    "normal_pursuit": ("normal pursuit (this package)", "o"),
    "ddn": ("DDN", "s"),
    "fmn": ("FMN", "^"),
    "alma": ("ALMA", "D"),
    "apgd_min_norm": ("minimum-norm APGD", "v"),
    "carlini_wagner": ("C&W", "X"),
    "superdeepfool": ("SuperDeepFool", "*"),
}
"""The attacks: the name in the legend, and the marker."""

PANELS = {
    "mnist-cnn": "MNIST, small CNN",
    "cifar10-cnn": "CIFAR-10, small CNN",
    "efficientnet-lite0": "ImageNet, EfficientNet-Lite0",
}
"""The networks in the README, and their titles."""

HIGHEST = 25
"""The end of the vertical axis, in percent above the envelope."""


@dataclass(frozen=True)
class Theme:
    """Colors that are readable on a light or a dark page.

    Attributes:
        page: The background.
        ink: Text.
        grid: Axes and the lines of the grid.
        colors: One for each attack.
    """

    page: str
    ink: str
    grid: str
    colors: tuple[str, ...]


THEMES = {
    "light": Theme(
        "#ffffff",
        "#1f2328",
        "#d1d9e0",
        ("#c2410c", "#1f6feb", "#1a7f37", "#8250df", "#0e7490", "#57606a", "#9a6700"),
    ),
    "dark": Theme(
        "#0d1117",
        "#e6edf3",
        "#3d444d",
        ("#ff9a5c", "#79b8ff", "#56d364", "#d2a8ff", "#56d4dd", "#9198a1", "#e3b341"),
    ),
}


def points(result: Mapping[str, Any], attack: str) -> list[tuple[float, float]]:
    """Return the points of an attack on a network: cost, and percent above the envelope.

    Args:
        result: The results of the network, from `anytime.py`.
        attack: The name of the attack.
    """
    most = max(row["success"] for row in result["rows"])
    found = {
        (row["cost"], 100 * (row["mean"] / result["envelope"] - 1))
        for row in result["rows"]
        if row["name"] == attack and row["success"] >= most
    }
    return sorted(found)


def draw(measured: Mapping[str, Any], file: Path, titles: Mapping[str, str], theme: Theme) -> None:
    """Draw a panel for each network.

    Args:
        measured: The results by network, from `anytime.py`.
        file: The file to write; its name says the format.
        titles: The networks to draw, and their titles.
        theme: The colors.
    """
    with mpl.rc_context(
        {
            "figure.facecolor": theme.page,
            "axes.facecolor": theme.page,
            "text.color": theme.ink,
            "axes.labelcolor": theme.ink,
            "axes.edgecolor": theme.grid,
            "xtick.color": theme.ink,
            "ytick.color": theme.ink,
            "grid.color": theme.grid,
            "svg.hashsalt": "minnorm",  # the same file for the same results
            "font.size": 9,
        }
    ):
        drawing, panels = plt.subplots(
            1, len(titles), figsize=(3.3 * len(titles), 3.7), sharey=True, squeeze=False
        )
        for panel, (name, title) in zip(panels[0], titles.items(), strict=True):
            _draw_network(panel, measured[name], theme)
            panel.set_title(title, fontsize=10)
        panels[0][0].set_ylabel("mean L2 norm above the best known")
        handles, names = panels[0][0].get_legend_handles_labels()
        drawing.legend(handles, names, loc="lower center", ncols=len(ATTACKS), frameon=False)
        drawing.tight_layout(rect=(0, 0.07, 1, 1))
        drawing.savefig(file, bbox_inches="tight", metadata={"Date": None})
        plt.close(drawing)


def draw_all(measured: Mapping[str, Any], file: Path) -> None:
    """Draw a panel for each network that was measured."""
    draw(measured, file, {name: name for name in measured}, THEMES["light"])


def _draw_network(panel: "Axes", result: Mapping[str, Any], theme: Theme) -> None:
    for (attack, (label, marker)), color in zip(ATTACKS.items(), theme.colors, strict=True):
        found = points(result, attack)
        ours = attack == "normal_pursuit"
        panel.plot(
            [cost for cost, _ in found],
            [above for _, above in found],
            color=color,
            marker=marker,
            markersize=6 if marker in "*X" else 4.5,
            markeredgewidth=0,
            linewidth=2.8 if ours else 1.2,
            zorder=3 if ours else 2,
            label=label,
        )
    panel.set(xscale="log", xlabel="gradients per sample", ylim=(0, HIGHEST), xlim=(7, 1300))
    panel.set_xticks([10, 30, 100, 300, 1000], labels=["10", "30", "100", "300", "1,000"])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    panel.grid()
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(length=0)


def main() -> None:
    """Draw the figures of the committed results."""
    measured = json.loads(RESULTS.read_text())["measured"]
    draw_all(measured, RESULTS.with_suffix(".svg"))
    IMAGES.mkdir(exist_ok=True)
    for name, theme in THEMES.items():
        draw(measured, IMAGES / f"cost-{name}.svg", PANELS, theme)


if __name__ == "__main__":
    main()
