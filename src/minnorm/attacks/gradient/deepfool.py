"""DeepFool: from one linear model of the classifier to the next.

Moosavi-Dezfooli, Fawzi, Frossard: "DeepFool: a simple and accurate method to fool deep neural
networks", CVPR 2016, https://arxiv.org/abs/1511.04599.
"""

from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.linear_model import cross_boundary
from minnorm.attacks.engine.opening import open_search
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number
from minnorm.geometry import Norm, check_ball


@accepts_accelerated
def deepfool(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    norm: Norm = "l2",
    steps: int = 50,
    candidates: int = 9,
    overshoot: float = 0.02,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Step to the nearest boundary of a linear model of the classifier, until it is crossed.

    A sample leaves the batch once it is misclassified. Each step costs a gradient for each of the
    candidate classes, and one forward pass.

    The paper's method is untargeted. In a targeted attack, each step goes to the boundary between
    the target class and the most likely other class.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        norm: `l2` or `linf`.
        steps: Largest number of steps.
        candidates: Number of classes to consider besides the label: those with the largest logits
            at the input.
        overshoot: How far each step goes beyond the boundary, as a share of its length. (The paper
            lengthens the whole perturbation at the end, and its code does so after each step. This
            form finds smaller norms.)

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("steps", steps)
    check_count("candidates", candidates)
    check_number("overshoot", overshoot, 0, inclusive=True)
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
        levels=levels,
    ) as search:
        cross_boundary(
            search,
            search.problem.origins,
            steps=steps,
            candidates=candidates,
            overshoot=overshoot,
        )
        return search.result()
