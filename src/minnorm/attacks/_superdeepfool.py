"""SuperDeepFool: DeepFool, turned towards the normal of the boundary that it finds.

Abdollahpour, Abroshan, Moosavi-Dezfooli: "Revisiting DeepFool: generalization and improvement",
2023, https://arxiv.org/abs/2303.12481; its form SDF(inf, 1).
"""

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks._deepfool import cross
from minnorm.attacks.bisection import bisect
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import Search, search
from minnorm.geometry import per_sample


def superdeepfool(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    steps: int = 50,
    crossing_steps: int = 50,
    candidates: int = 9,
    overshoot: float = 0.02,
    bisections: int = 10,
    bounds: geometry.Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Looks for points where the perturbation is parallel to the boundary's normal, in L2.

    At the closest point of a boundary the two are parallel. So each time that DeepFool has crossed
    a boundary, its perturbation is projected onto the normal there, and what remains is added to
    the point from which it went; until that is adversarial. A bisection between the input and that
    point ends it. Costs as DeepFool, and one gradient for each projection. After each projection
    the host waits for the device, to see which samples are done.

    The paper's method is untargeted; targeted, see `deepfool`.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        steps: Largest number of projections.
        crossing_steps: Largest number of DeepFool's steps before each of them.
        candidates: How many classes to consider, the likeliest ones for the point besides the
            label.
        overshoot: How far DeepFool goes beyond a boundary, as a share of its step.
        bisections: Forward passes of the final bisection.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_count("steps", steps)
    checks.check_count("crossing_steps", crossing_steps)
    checks.check_count("candidates", candidates)
    checks.check_count("bisections", bisections, least=0)
    checks.check_number("overshoot", overshoot, 0, inclusive=True)
    with search(
        model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator
    ) as state:
        points = state.origins
        left = (~state.judge(points)).nonzero().squeeze(1)
        for _ in range(steps):
            if len(left) == 0:
                break
            part = state.part(left)
            across = cross(
                part,
                points[left],
                steps=crossing_steps,
                candidates=candidates,
                overshoot=overshoot,
            )
            state.absorb(part.result(), left)
            part = state.part(left)
            projected = _projected(part, points[left], across)
            done = part.judge(projected)
            state.absorb(part.result(), left)
            points = points.index_copy(0, left, projected)
            left = left[~done]
        # The last point has the best direction, though another one may be closer before this.
        bisect(state, bisections, ends=points)
        return state.result()


def _projected(
    state: Search, points: Float[Tensor, "b *d"], across: Float[Tensor, "b *d"]
) -> Float[Tensor, "b *d"]:
    """Moves the points along the boundary's normal at `across`, as far as the latter reaches."""
    visit = state.visit(across)
    normals = geometry.unit(
        visit.pull_back(-state.margin_direction(visit.logits)), fallback=state.noise()
    )
    lengths = geometry.dot(state.perturbations(across), normals)
    moves = normals * per_sample(lengths, normals).to(normals.dtype)
    return torch.add(points, moves, alpha=state.unit).clamp_(*state.bounds)
