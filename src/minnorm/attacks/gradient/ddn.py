"""DDN: the decoupled direction and norm attack.

Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger: "Decoupling Direction and Norm for Efficient
Gradient-Based L2 Adversarial Attacks and Defenses", CVPR 2019, https://arxiv.org/abs/1811.09600.
"""

from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.descent import descend
from minnorm.attacks.engine.opening import open_search
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number


@accepts_accelerated
def ddn(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    steps: int = 100,
    initial_norm: float = 1.0,
    gamma: float = 0.05,
    step_size: float = 1.0,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of small L2 norm (algorithm 1 of the paper).

    Each step moves along the normalized gradient of the cross-entropy and projects the perturbation
    onto a sphere around the input. The radius of the sphere shrinks by `1 - gamma` after an
    adversarial point and grows by `1 + gamma` after any other. Costs `steps` gradients, and one
    forward pass for the point of the last step; with `starts` another one for the inputs.

    Lengths (`initial_norm`, `step_size`) are in units of the width of the bounds, since those of
    the paper are for inputs in 0..1. It is that of the widest feature if the features have bounds
    of their own. Where a bound is infinite, or the width is over a hundred times the distance to
    the boundary in a linear model, the unit is five times that distance.

    Args:
        model: The classifier, inputs `[b *d]` to logits `[b c]`.
        inputs: The inputs to attack, floating point, inside the bounds.
        labels: Their true labels, or the target classes when `targeted`; in `[0, c)`.
        targeted: Search for points that are classified as `labels`, instead of as anything else.
        steps: Number of steps K, at least 1; the paper uses 100, 300 and 1,000.
        initial_norm: Radius of the first sphere; with `starts`, only for samples that start at the
            input itself.
        gamma: Factor by which the radius changes, between 0 and 1.
        step_size: Length of the first step, annealed by a cosine to a hundredth in the last one.
        levels: Round each point to that many evenly spaced values (256 for 8-bit images, as in the
            paper's tables); `None` for no rounding. Where minimal norms are small, rounding makes
            them much larger: use it when the result must be an image file. An input that is
            misclassified from the start is rounded too, if it stays misclassified. With bounds for
            each feature, the values are evenly spaced between the bounds of the feature; one that
            cannot change is not rounded.
        bounds: The lowest and the highest value of an input: two numbers, or tensors with a bound
            for each feature, which broadcast to the inputs. Where the two are equal, the feature
            cannot change.
        mask: Which features may change, boolean; broadcasts to the inputs. The others keep their
            values exactly. `None`: all of them.
        starts: Points where the attack begins (a warm start); the first radius is their distance.
        generator: Source of the random directions that replace zero and NaN gradients, shared by
            all samples of the batch; by default a generator with a fixed seed.

    Returns:
        The closest adversarial of each sample among all points visited, with its L2 distance.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("steps", steps)
    check_number("initial_norm", initial_norm, 0)
    check_number("gamma", gamma, 0, 1)
    check_number("step_size", step_size, 0)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        starts=starts,
        levels=levels,
    ) as search:
        descend(
            search,
            search.first_points(starts),
            steps=steps,
            initial_norm=initial_norm,
            gamma=gamma,
            step_size=step_size,
        )
        return search.result()  # line 15
