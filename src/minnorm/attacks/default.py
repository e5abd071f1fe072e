"""The attack for users who do not want to choose one."""

import warnings

from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm.acceleration import clean_logits
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.autograd import ordinary, own_autograd_mode
from minnorm.attacks.engine.doubts import (
    PROBE_SAMPLES,
    doubt_about_gradients,
    doubt_about_logits,
)
from minnorm.attacks.engine.problem import check_problem
from minnorm.attacks.gradient.normal_pursuit import normal_pursuit
from minnorm.geometry import Bounds

DEFAULT = "normal_pursuit"
"""The name of the attack that `attack` runs."""


@accepts_accelerated
def attack(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    budget: int = 100,
    targeted: bool = False,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    generator: Generator | None = None,
    starts: Float[Tensor, "b *d"] | None = None,
) -> AttackResult:
    """Find the closest adversarials, in L2, for a given budget.

    This is the best attack of the package, at present `normal_pursuit`. It warns if the model's
    outputs look like probabilities, or if the model has no gradients: then the attack can only
    search at random, and the adversarials are far away. The passes for these warnings
    are not part of the budget: the logits of up to 8 inputs, and the gradients at up to 8 inputs,
    those without an adversarial first.

    Args:
        model: The classifier, inputs `[b *d]` to logits `[b c]`.
        inputs: The inputs to attack, floating point, inside the bounds.
        labels: Their true labels, or the target classes when `targeted`; in `[0, c)`.
        budget: The cost of a sample, in gradients; a forward pass counts as 0.4 of one. 30 gives a
            first impression, 100 is close to the best known, 1,000 is for the last percent.
        targeted: Search for points that are classified as `labels`, instead of as anything else.
        levels: Round each point to that many evenly spaced values (256 for 8-bit images).
        bounds: The lowest and the highest value of an input.
        generator: Source of what is random; by default a generator with a fixed seed.
        starts: Adversarial points to improve, inside the bounds: the result is never farther away.
            Points that are not adversarial have no effect.

    Returns:
        The closest adversarial of each sample among all points visited, with its L2 distance.

    Raises:
        InputError: If an argument is not as described, or the model cannot take the inputs.
    """
    check_problem(model, inputs, labels, bounds, starts)
    few = ordinary(inputs[:PROBE_SAMPLES])
    doubts = []
    if len(few) > 0:
        with own_autograd_mode():
            logits = clean_logits(model, few, labels[:PROBE_SAMPLES])
            doubts.append(doubt_about_logits(logits))
    result = normal_pursuit(
        model,
        inputs,
        labels,
        budget=budget,
        targeted=targeted,
        levels=levels,
        bounds=bounds,
        generator=generator,
        starts=starts,
    )
    unsolved = inputs if result.success.all() else inputs[~result.success]
    if len(unsolved) > 0:
        with own_autograd_mode():
            doubts.append(doubt_about_gradients(model, ordinary(unsolved[:PROBE_SAMPLES])))
    for doubt in doubts:
        if doubt is not None:
            warnings.warn(doubt, stacklevel=2)
    return result
