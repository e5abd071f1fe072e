"""An animation of the steps of DDN: one SVG file without scripts, that any browser plays.

Each step shows the sphere, the step along the gradient, and the projection onto the next sphere. It
plays three times and stops at the whole path. For a reader who prefers reduced motion it is that
picture from the beginning.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.attacks import Model
from minnorm.paper.figures.step_axes import (
    BOUNDARY,
    CLOSEST,
    GRADIENT,
    ITERATE,
    OTHER_REGION,
    SPHERE,
    TRUE_REGION,
    Window,
    margins_on_grid,
    window_around,
)
from minnorm.paper.figures.steps import Step, Walk

_WIDTH, _HEIGHT, _CAPTION = 640, 440, 44
"""The size of the picture, and of the line of text below it, in pixels."""

_SECONDS = 1.0
"""The time of a step."""

_HOLD = 4.0
"""The time at the end during which the whole path is shown."""

_TIMES = 3
"""How often it plays."""

_STYLE = f"""
text{{font:16px system-ui,sans-serif;fill:#222}}
.point{{stroke:{ITERATE};stroke-width:1.5}}
.sphere{{fill:none;stroke:{SPHERE};stroke-width:1.2}}
.next{{stroke-dasharray:6 4}}
.ray{{stroke:{ITERATE};stroke-width:1.5;stroke-dasharray:3 3}}
.gradient{{stroke:{GRADIENT};stroke-width:2.5;marker-end:url(#tip)}}
.path{{stroke:{ITERATE};stroke-width:1}}
.once{{opacity:0}}
@media(prefers-reduced-motion:reduce){{*{{animation:none!important}}}}
"""


def animate(model: Model, walk: Walk, steps: Sequence[Step], closest: Float[Tensor, "2"]) -> str:
    """Return the animation as the text of an SVG file.

    Args:
        model: The classifier.
        walk: What DDN has evaluated and found.
        steps: Its steps.
        closest: The closest adversarial.
    """
    ahead = torch.stack([step.start + step.gradient for step in steps])
    shown = torch.cat([walk.points, ahead, closest[None]])
    window = window_around(shown, around=0.25, ratio=_HEIGHT / _WIDTH)
    whole = len(steps) * _SECONDS + _HOLD
    rules, parts = [_STYLE], []
    for place, step in enumerate(steps):
        times = place * _SECONDS / whole, (place + 1) * _SECONDS / whole
        number = step.number
        rules += [_rule(f"now{number}", *times), _rule(f"from{number}", times[1])]
        timed = f"{whole:g}s step-end {_TIMES}"
        rules += [
            f".now{number}{{animation:now{number} {timed}}}",
            f".from{number}{{animation:from{number} {timed}}}",
        ]
        parts += [_now(walk, step, window), _lasting(walk, step, window)]
    rules += [
        _rule("end", len(steps) * _SECONDS / whole),
        f".end{{animation:end {whole:g}s step-end {_TIMES}}}",
    ]
    distance = float((closest - walk.origin).norm())
    found = (
        f"After {len(steps)} steps: the closest point found is at {walk.distance:.3f}, "
        f"the closest of all at {distance:.3f}."
    )
    body = [
        *_regions(model, walk.label, window),
        _origin(walk, window),
        *parts,
        _star(closest, window),
        f'<text class="end" x="16" y="{_HEIGHT + 28}">{found}</text>',
    ]
    return _document("\n".join(rules), body, len(steps))


def _document(style: str, body: Sequence[str], steps: int) -> str:
    height = _HEIGHT + _CAPTION
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img">',
            f"<title>{steps} steps of DDN on a classifier of points in the plane</title>",
            f"<style>{style}</style>",
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="5" '
            f'markerHeight="5" orient="auto"><path d="M0 0L10 5L0 10z" fill="{GRADIENT}"/>'
            f'</marker><clipPath id="frame"><rect width="{_WIDTH}" height="{_HEIGHT}"/>'
            "</clipPath></defs>",
            f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
            *body,
            "</svg>\n",
        ]
    )


def _rule(name: str, start: float, end: float = 1.0) -> str:
    """Return keyframes that show something from a time to another one, as shares of the whole."""
    frames = [(start, 1)] if start > 0 else []
    frames += [(end, 0)] if end < 1 else []
    first = "0%{opacity:0}" if start > 0 else "0%{opacity:1}"
    later = "".join(f"{100 * time:.3f}%{{opacity:{opacity}}}" for time, opacity in frames)
    last = "" if end < 1 else "to{opacity:1}"
    return f"@keyframes {name}{{{first}{later}{last}}}"


def _now(walk: Walk, step: Step, window: Window) -> str:
    """Return what is shown during a step alone."""
    center = _at(walk.origin, window)
    scale = _WIDTH / (window.right - window.left)
    before, after = (scale * radius for radius in step.radii)
    ahead = step.start + step.gradient
    state, change = ("adversarial", "shrinks") if step.adversarial else ("not adversarial", "grows")
    text = (
        f"Step {step.number}: the point is {state}, so the norm {change} from "
        f"{step.radii[0]:.2f} to {step.radii[1]:.2f}."
    )
    return "".join(
        [
            f'<g class="once now{step.number}"><g clip-path="url(#frame)">',
            f'<circle class="sphere" {_named("c", center)} r="{before:.1f}"/>',
            f'<circle class="sphere next" {_named("c", center)} r="{after:.1f}"/>',
            _line("ray", walk.origin, ahead, window),
            _line("gradient", step.start, ahead, window),
            _point(step.start, window, filled=step.adversarial, radius=6),
            f'</g><text x="16" y="{_HEIGHT + 28}">{text}</text></g>',
        ]
    )


def _lasting(walk: Walk, step: Step, window: Window) -> str:
    """Return what a step leaves behind."""
    filled = walk.adversarial[step.number]
    return (
        f'<g class="from{step.number}">{_line("path", step.start, step.end, window)}'
        f"{_point(step.end, window, filled=filled, radius=4)}</g>"
    )


def _regions(model: Model, label: int, window: Window) -> list[str]:
    """Return the regions of the two classes, and the boundary between them."""
    from contourpy import contour_generator  # Matplotlib needs it too

    x, y, margins = margins_on_grid(model, label, window)
    found: Any = contour_generator(x, y, margins)
    areas = found.filled(0, float("inf"))[0]
    lines = found.lines(0)
    return [
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{OTHER_REGION}"/>',
        *(f'<path d="{_path(area, window)}z" fill="{TRUE_REGION}"/>' for area in areas),
        *(f'<path d="{_path(line, window)}" fill="none" stroke="{BOUNDARY}"/>' for line in lines),
    ]


def _path(points: Any, window: Window) -> str:
    places = [_at(torch.tensor(point), window) for point in points.tolist()]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _origin(walk: Walk, window: Window) -> str:
    x, y = _at(walk.origin, window)
    return (
        f'<path d="M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12" stroke="#000" stroke-width="2.5"/>'
        f'<text x="{x - 22:.1f}" y="{y + 5:.1f}">x</text>'
    )


def _star(point: Float[Tensor, "2"], window: Window) -> str:
    """Return a star at the closest adversarial, shown at the end."""
    x, y = _at(point, window)
    corners = [
        (x + length * sine, y - length * cosine)
        for length, sine, cosine in zip(
            [11, 4.4] * 5,
            torch.linspace(0, 2 * torch.pi, 11)[:-1].sin().tolist(),
            torch.linspace(0, 2 * torch.pi, 11)[:-1].cos().tolist(),
            strict=True,
        )
    ]
    path = "L".join(f"{u:.1f} {v:.1f}" for u, v in corners)
    return f'<path class="end" d="M{path}z" fill="{CLOSEST}" stroke="white"/>'


def _line(name: str, start: Float[Tensor, "2"], end: Float[Tensor, "2"], window: Window) -> str:
    (x, y), (u, v) = _at(start, window), _at(end, window)
    return f'<line class="{name}" x1="{x:.1f}" y1="{y:.1f}" x2="{u:.1f}" y2="{v:.1f}"/>'


def _point(point: Float[Tensor, "2"], window: Window, *, filled: bool, radius: int) -> str:
    fill = ITERATE if filled else "white"
    return f'<circle class="point" {_named("c", _at(point, window))} r="{radius}" fill="{fill}"/>'


def _named(name: str, place: tuple[float, float]) -> str:
    return f'{name}x="{place[0]:.1f}" {name}y="{place[1]:.1f}"'


def _at(point: Float[Tensor, "2"], window: Window) -> tuple[float, float]:
    """Return where a point is, in pixels."""
    x, y = point.tolist()
    across = (x - window.left) / (window.right - window.left)
    up = (y - window.bottom) / (window.top - window.bottom)
    return _WIDTH * across, _HEIGHT * (1 - up)
