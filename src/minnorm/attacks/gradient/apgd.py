"""APGD: projected gradient ascent that chooses its step sizes.

Croce, Hein: "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", ICML 2020, https://arxiv.org/abs/2003.01690.
"""

from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.adaptive_ascent import LossName, check_ascent, maximize
from minnorm.attacks.engine.opening import open_search
from minnorm.boxes import Bounds
from minnorm.checks import check_number
from minnorm.geometry import Norm


@accepts_accelerated
def apgd(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    epsilon: float,
    targeted: bool = False,
    norm: Norm = "l2",
    steps: int = 100,
    restarts: int = 1,
    loss: LossName = "cross-entropy",
    candidates: int = 9,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Search for adversarials within a given distance, without a step size to choose.

    Gradient ascent with momentum from a random point of the ball (the same perturbation for all
    samples of the batch). The step is twice the radius at first. At fixed checkpoints, samples
    whose loss rises too seldom halve their step and go back to their best point, and samples whose
    adversarial has been found leave the batch. Costs `steps` gradients and one forward pass for
    each restart (and candidate class, for `targeted-dlr`), and one more for the inputs.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        epsilon: The radius of the ball, in units of the inputs.
        norm: `l2` or `linf`.
        steps: Number of steps of each restart.
        restarts: Number of runs.
        loss: `cross-entropy`; `dlr`, the difference of logits ratio (at least 3 classes); or
            `targeted-dlr`, the same towards one candidate class after the other (at least 4
            classes, not when `targeted`).
        candidates: Number of target classes of `targeted-dlr`: those with the largest logits at the
            input.

    Returns:
        The closest of the adversarials visited; all are within `epsilon`.

    Raises:
        InputError: If an argument is not as described, or the model has too few classes for the
            loss.
    """
    check_number("epsilon", epsilon, 0)
    check_ascent(steps, restarts, candidates, loss, norm, targeted=targeted)
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
        radii = search.problem.radii()
        maximize(search, radii, steps=steps, restarts=restarts, loss=loss, candidates=candidates)
        return search.result()
