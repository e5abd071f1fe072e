"""FGSM: the fast gradient sign method, one step.

Goodfellow, Shlens, Szegedy: "Explaining and Harnessing Adversarial Examples", ICLR 2015,
https://arxiv.org/abs/1412.6572; for L2, eq. 4 of Rony et al. (2019).
"""

from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.opening import open_search
from minnorm.boxes import Bounds
from minnorm.checks import check_number
from minnorm.geometry import per_sample


@accepts_accelerated
def fgsm(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    epsilon: float,
    targeted: bool = False,
    norm: geometry.Norm = "l2",
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Try one point at a given distance, along the gradient of the cross-entropy (eq. 4).

    The point is clipped to the bounds, so it may be nearer than `epsilon`. Costs one gradient and
    one more forward pass.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        epsilon: The length of the step, in units of the inputs.
        norm: `l2` (along the gradient) or `linf` (along its sign).

    Returns:
        The point, if it is adversarial; the input, if it is misclassified from the start.

    Raises:
        InputError: If an argument is not as described.
    """
    check_number("epsilon", epsilon, 0)
    geometry.check_ball(norm)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        norm=norm,
        radius_limit=epsilon,
        levels=levels,
    ) as search:
        problem = search.problem
        visit = search.visit(problem.origins)
        gradients = visit.pull_back(search.goal.cross_entropy_direction(visit.logits))
        directions = geometry.steepest(gradients, search.noise(), norm)
        radii = per_sample(problem.radii(), directions).to(directions.dtype)
        search.adversarial_at(problem.points(directions * radii))
        return search.result()
