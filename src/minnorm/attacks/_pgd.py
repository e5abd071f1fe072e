"""PGD: projected gradient ascent on the loss inside a ball.

Madry, Makelov, Schmidt, Tsipras, Vladu: "Towards Deep Learning Models Resistant to Adversarial
Attacks", ICLR 2018, https://arxiv.org/abs/1706.06083; eq. 2 of Rony et al. (2019).
"""

from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.ascent import ascend, default_step_size
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import search


def pgd(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    epsilon: float,
    targeted: bool = False,
    norm: geometry.Norm = "l2",
    steps: int = 40,
    step_size: float | None = None,
    restarts: int = 1,
    random_start: bool = True,
    bounds: geometry.Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Looks for adversarials within a given distance (eq. 2).

    Each step follows the gradient of the cross-entropy for a fixed length, then projects onto the
    ball and clips to the bounds. Costs `steps` gradients and one forward pass for each restart,
    and one more for the inputs. Samples leave the batch after an adversarial has been found.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        epsilon: The radius of the ball, in units of the inputs.
        norm: `l2` (steps along the gradient) or `linf` (along its sign).
        steps: Number of steps of each restart.
        step_size: Length of a step, in units of the inputs; by default `2.5 * epsilon / steps`,
            with which every point of the ball can be reached.
        restarts: How often to begin anew.
        random_start: Begin at a random point of the ball (the same perturbation for all samples of
            the batch, so that they do not depend on each other), instead of at the input.

    Returns:
        The closest of the adversarials visited; all are within `epsilon`.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_number("epsilon", epsilon, 0)
    checks.check_count("steps", steps)
    checks.check_count("restarts", restarts)
    if step_size is not None:
        checks.check_number("step_size", step_size, 0)
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
        rate = (step_size or default_step_size(epsilon, steps)) / state.unit
        if random_start:
            state.judge(state.origins)
        for _ in range(restarts):
            if len(state.keep_unfound()) == 0:
                break
            radii = state.radii()
            points = ascend(
                state,
                state.points_in_ball(radii) if random_start else state.origins,
                radii,
                steps=steps,
                step_size=rate,
                until_found=True,
            )
            if len(points) > 0:
                state.judge(points)
        return state.result()
