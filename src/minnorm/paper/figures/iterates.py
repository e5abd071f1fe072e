"""The kind `iterates`: real runs of DDN and normal pursuit on a classifier of the plane."""

from functools import partial

import torch
from pydantic import BaseModel, ConfigDict, Field

from minnorm.attacks import ddn, normal_pursuit
from minnorm.files import write_content
from minnorm.paper.experiment import Experiment, options_of
from minnorm.paper.figures.animation import animate
from minnorm.paper.figures.files import write_figure
from minnorm.paper.figures.plane import BOUNDS, closest_point, plane_classifier
from minnorm.paper.figures.step_axes import draw_steps
from minnorm.paper.figures.steps import Walk, ddn_steps, record
from minnorm.paper.measuring import Options
from minnorm.paper.outcome import Outcome, Table
from minnorm.report.figures.drawing import import_matplotlib
from minnorm.runtime import ranks

_WIDTH = BOUNDS[1] - BOUNDS[0]
"""The unit of the lengths of DDN's parameters."""


class IterateOptions(BaseModel):
    """What an experiment of this kind says.

    Attributes:
        point: The input.
        steps, initial_norm, gamma, step_size: Those of DDN, in the coordinates of the plane.
        budget: That of normal pursuit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    point: tuple[float, float]
    steps: int = Field(ge=1)
    initial_norm: float = 1.0
    gamma: float = 0.05
    step_size: float = 1.0
    budget: int = Field(ge=2)


def iterates(experiment: Experiment, options: Options) -> Outcome:
    """Run both attacks on one point, and draw where they went."""
    import_matplotlib()
    own = options_of(experiment, IterateOptions)
    model = plane_classifier()
    origin = torch.tensor(own.point, dtype=torch.float64)
    descent = partial(
        ddn,
        steps=own.steps,
        initial_norm=own.initial_norm / _WIDTH,
        gamma=own.gamma,
        step_size=own.step_size / _WIDTH,
    )
    first = record(descent, model, origin, BOUNDS)
    second = record(partial(normal_pursuit, budget=own.budget), model, origin, BOUNDS)
    steps = ddn_steps(
        first, model, initial_norm=own.initial_norm, gamma=own.gamma, step_size=own.step_size
    )
    closest = closest_point(model, origin, first.label)
    folder = options.folder(experiment)
    figures = write_figure(
        folder, experiment.name, lambda: draw_steps(model, first, steps, second, closest)
    )
    moving = f"{experiment.name}-animation.svg"
    if ranks.rank() == 0:
        write_content(folder / moving, animate(model, first, steps, closest).encode())
    distance = float((closest - origin).norm())
    rows = (
        (f"DDN, {own.steps} steps", *_cells(first, distance)),
        (f"normal pursuit, budget {own.budget}", *_cells(second, distance)),
        ("closest adversarial, by search over all directions", "", f"{distance:.4f}", ""),
    )
    return Outcome(
        experiment=experiment,
        tables=(
            Table(
                title="Distances of the adversarials",
                columns=("attack", "points evaluated", "distance", "above the closest"),
                rows=rows,
            ),
        ),
        figures=(*figures, moving),
        numbers={
            "input": list(own.point),
            "closest": {"point": closest.tolist(), "distance": distance},
            "ddn": _values(first) | {"norms": [step.radii[1] for step in steps]},
            "normal_pursuit": _values(second),
        },
    )


def _cells(walk: Walk, distance: float) -> tuple[str, ...]:
    change = 100 * (walk.distance / distance - 1)
    return f"{len(walk.points)}", f"{walk.distance:.4f}", f"{change:.2f} %"


def _values(walk: Walk) -> dict[str, object]:
    """Return what an attack did, as JSON values."""
    return {
        "points": walk.points.tolist(),
        "adversarial": list(walk.adversarial),
        "found": walk.found.tolist(),
        "distance": walk.distance,
    }
