"""Styles of curves: which color, dash pattern and marker a run and an attack have.

Color alone distinguishes nothing: what shares a color differs in dashes, and what shares dashes
differs in markers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

COLORS = 8
"""The colors of the page, the variables `--series-1` and so on of its style sheet."""

DASHES: tuple[tuple[int, ...], ...] = (
    (),
    (6, 3),
    (2, 2),
    (9, 3, 2, 3),
    (12, 4),
    (4, 2, 1, 2, 1, 2),
)
"""Dash patterns in pixels: lengths of lines and gaps in turn. An empty one is a solid line."""

MARKERS = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
"""Shapes of markers, by the names of Vega."""


@dataclass(frozen=True)
class Style:
    """The style of a curve.

    Attributes:
        color: The color, as CSS has it.
        dash: The dash pattern, one of `DASHES`.
        marker: The shape of the markers, one of `MARKERS`.
    """

    color: str
    dash: tuple[int, ...]
    marker: str


def styles(curves: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Style]:
    """Return the style of each curve.

    The curves of one run differ in color, dashes and markers. In several runs, colors and markers
    distinguish the runs, and dashes the attacks.

    Args:
        curves: The run and the attack of each curve.
    """
    runs = list(dict.fromkeys(run for run, _ in curves))
    attacks = list(dict.fromkeys(attack for _, attack in curves))
    # A worst case comes last, and is the most important: it has the solid line.
    attacks.reverse()
    return {
        (run, attack): _style(
            runs.index(run) if len(runs) > 1 else attacks.index(attack), attacks.index(attack)
        )
        for run, attack in curves
    }


def _style(color: int, dash: int) -> Style:
    return Style(
        color=f"var(--series-{color % COLORS + 1})",
        dash=DASHES[dash % len(DASHES)],
        marker=MARKERS[color % len(MARKERS)],
    )
