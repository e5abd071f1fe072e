"""PGD: projected gradient ascent on the loss inside a ball.

Madry, Makelov, Schmidt, Tsipras, Vladu: "Towards Deep Learning Models Resistant to Adversarial
Attacks", ICLR 2018, https://arxiv.org/abs/1706.06083; eq. 2 of Rony et al. (2019).
"""

from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.ascent import ascend, default_step_size
from minnorm.attacks.engine.opening import open_search
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_flag, check_number
from minnorm.geometry import Norm, check_ball


@accepts_accelerated
def pgd(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    epsilon: float,
    targeted: bool = False,
    norm: Norm = "l2",
    steps: int = 40,
    step_size: float | None = None,
    restarts: int = 1,
    random_start: bool = True,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Search for adversarials within a given distance (eq. 2).

    Each step follows the gradient of the cross-entropy for a fixed length, then projects onto the
    ball and clips to the bounds. Samples leave the batch after an adversarial has been found. Costs
    `steps` gradients and one forward pass for each restart, and one more for the inputs.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        epsilon: The radius of the ball, in units of the inputs.
        norm: `l2` (steps along the gradient) or `linf` (along its sign).
        steps: Number of steps of each restart.
        step_size: Length of a step, in units of the inputs; by default `2.5 * epsilon / steps`,
            with which every point of the ball can be reached.
        restarts: Number of runs.
        random_start: Begin at a random point of the ball instead of at the input. All samples of
            the batch get the same perturbation, so that they do not depend on each other.

    Returns:
        The closest of the adversarials visited; all are within `epsilon`.

    Raises:
        InputError: If an argument is not as described.
    """
    check_number("epsilon", epsilon, 0)
    check_count("steps", steps)
    check_count("restarts", restarts)
    if step_size is not None:
        check_number("step_size", step_size, 0)
    check_flag("random_start", random_start)
    check_ball(norm)
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
        rate = step_size or default_step_size(epsilon, steps)
        if random_start:
            search.adversarial_at(search.problem.origins)
        for _ in range(restarts):
            if len(search.drop_found()) == 0:
                break
            radii = search.problem.radii()
            points = ascend(
                search,
                search.points_in_ball(radii) if random_start else search.problem.origins,
                radii,
                steps=steps,
                step_size=rate / search.problem.unit,
                until_found=True,
            )
            if len(points) > 0:
                search.adversarial_at(points)
        return search.result()
