"""FGSM: the fast gradient sign method, one step.

Goodfellow, Shlens, Szegedy: "Explaining and Harnessing Adversarial Examples", ICLR 2015,
https://arxiv.org/abs/1412.6572; for L2, eq. 4 of Rony et al. (2019).
"""

from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import search
from minnorm.geometry import per_sample


def fgsm(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    epsilon: float,
    targeted: bool = False,
    norm: geometry.Norm = "l2",
    bounds: geometry.Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Tries one point at a given distance, along the gradient of the cross-entropy (eq. 4).

    The result is clipped to the bounds, so it may be nearer than `epsilon`. One gradient and one
    more forward pass.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        epsilon: The length of the step, in units of the inputs.
        norm: `l2` (along the gradient) or `linf` (along its sign).

    Returns:
        The point tried, or the input where it was misclassified to begin with.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_number("epsilon", epsilon, 0)
    geometry.check_ball(norm)
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        norm=norm,
        within=epsilon,
    ) as state:
        visit = state.visit(state.origins)
        gradients = visit.pull_back(state.cross_entropy_direction(visit.logits))
        directions = geometry.steepest(gradients, state.noise(), norm)
        radii = per_sample(state.radii(), directions).to(directions.dtype)
        state.judge(state.points(directions * radii))
        return state.result()
