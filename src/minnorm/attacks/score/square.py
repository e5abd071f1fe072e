"""Square: a random search for adversarials within a radius, by the logits alone.

Andriushchenko, Croce, Flammarion, Hein: "Square Attack: a query-efficient black-box adversarial
attack via random search", ECCV 2020, https://arxiv.org/abs/1912.00049.
"""

from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated, needs
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.queries.random_search import (
    ScoreLoss,
    check_random_search,
    random_search,
)
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number
from minnorm.geometry import Norm


@accepts_accelerated
@needs("scores")
def square(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    epsilon: float,
    targeted: bool = False,
    norm: Norm = "l2",
    budget: int = 5000,
    restarts: int = 1,
    initial_share: float = 0.8,
    loss: ScoreLoss = "margin",
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Search at random for adversarials within a given distance, without gradients.

    Each step changes a window of the image and keeps the change if the loss falls. In Linf, the
    window is a square in which each channel moves by the radius up or down; in L2, two bumps are
    added to a window, and the norm of another window moves there. The windows shrink with the
    steps. All samples of the batch have the same ones, unless their masks differ: a window touches
    a feature that may change. A sample leaves when its adversarial has been found, at most ten
    queries later.

    The last two dimensions of a sample are the image, those before it its channels. A sample with
    one dimension is an image of one row, with windows of neighboring features.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        epsilon: The radius of the ball, in units of the inputs.
        norm: `l2` or `linf`.
        budget: The queries of a sample in each restart, forward passes.
        restarts: Number of runs.
        initial_share: The share of the image that the first windows cover. With a budget of 10,000
            queries, the share halves after 200, 500, 1,000, 2,000, 4,000, 6,000 and 8,000 steps;
            with another budget after the same parts of it.
        loss: `margin`, or `cross-entropy`, which the paper uses in targeted attacks.

    Returns:
        The adversarial of each sample that was found first; all are within `epsilon`.

    Raises:
        InputError: If an argument is not as described.
    """
    check_number("epsilon", epsilon, 0)
    check_count("restarts", restarts)
    check_random_search(budget, initial_share, loss, norm)
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
        access="scores",
    ) as search:
        radii = search.problem.radii()
        search.adversarial_at(search.problem.origins)
        for _ in range(restarts):
            stay = search.drop_found()
            radii = radii[stay]
            if len(stay) == 0:
                break
            part = search.part()
            random_search(part, radii, queries=budget - 1, initial_share=initial_share, loss=loss)
            search.absorb(part.result())
        return search.result()
