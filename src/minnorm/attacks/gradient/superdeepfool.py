"""SuperDeepFool: DeepFool, turned towards the normal of the boundary that it finds.

Abdollahpour, Abroshan, Moosavi-Dezfooli: "Revisiting DeepFool: generalization and improvement",
2023, https://arxiv.org/abs/2303.12481; its form SDF(inf, 1).
"""

from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.bisection import bisect
from minnorm.attacks.engine.linear_model import cross_boundary
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.search import Search
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number
from minnorm.geometry import per_sample


@accepts_accelerated
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
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Search for points where the perturbation is parallel to the boundary's normal, in L2.

    At the closest point of a boundary the two are parallel. So each time DeepFool has crossed a
    boundary, its perturbation is projected onto the normal there, and added to the point where
    DeepFool began. This repeats until the sum is adversarial. At the end a bisection searches the
    line between the input and that point.

    Costs as many gradients as DeepFool, and one for each projection. After each projection the host
    waits for the device, to see which samples are finished. The paper's method is untargeted;
    for targeted attacks see `minnorm.attacks.deepfool`.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        steps: Largest number of projections.
        crossing_steps: Largest number of DeepFool's steps before each of them.
        candidates: Number of classes to consider besides the label: those with the largest logits
            at the point.
        overshoot: How far DeepFool goes beyond a boundary, as a share of its step.
        bisections: Forward passes of the final bisection.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("steps", steps)
    check_count("crossing_steps", crossing_steps)
    check_count("candidates", candidates)
    check_count("bisections", bisections, least=0)
    check_number("overshoot", overshoot, 0, inclusive=True)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        levels=levels,
    ) as search:
        points = search.problem.origins
        left = (~search.adversarial_at(points)).nonzero().squeeze(1)
        for _ in range(steps):
            if len(left) == 0:
                break
            part = search.part(left)
            across = cross_boundary(
                part,
                points[left],
                steps=crossing_steps,
                candidates=candidates,
                overshoot=overshoot,
            )
            search.absorb(part.result(), left)
            part = search.part(left)
            projected = _projected(part, points[left], across)
            done = part.adversarial_at(projected)
            search.absorb(part.result(), left)
            points = points.index_copy(0, left, projected)
            left = left[~done]
        # The last point has the best direction, though a point before it may be closer.
        bisect(search, bisections, ends=points)
        return search.result()


def _projected(
    search: Search, points: Float[Tensor, "b *d"], across: Float[Tensor, "b *d"]
) -> Float[Tensor, "b *d"]:
    """Move the points along the boundary's normal at `across`, as far as `across` reaches."""
    problem = search.problem
    visit = search.visit(across)
    gradients = visit.pull_back(-search.goal.margin_direction(visit.logits))
    normals = geometry.unit(gradients, fallback=search.noise())
    lengths = geometry.dot(problem.perturbations(across), normals)
    moves = normals * per_sample(lengths, normals).to(normals.dtype)
    return problem.feasible_(problem.moved(points, moves))
