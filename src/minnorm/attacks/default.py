"""The attack for those who do not want to choose one."""

import warnings

from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm.attacks import checks
from minnorm.attacks._normal_pursuit import normal_pursuit
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.gradients import ordinary, own_autograd_mode
from minnorm.attacks.look import FEW, clean_logits, doubt_of_gradients, doubt_of_logits
from minnorm.geometry import Bounds

DEFAULT = "normal_pursuit"
"""The name of the attack that `attack` runs."""


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
    """Finds the closest adversarials, in L2, that a budget allows.

    This is the best attack of the package, at present `normal_pursuit`. It warns if the model's
    outputs look like probabilities, or if it gives no gradients, so that what is found is found at
    random and far away; to tell, it asks the model for its logits of up to 8 inputs, and for the
    gradients at up to 8, of those where nothing was found if there are any, which the budget does
    not count.

    Args:
        model: The classifier, inputs `[b *d]` to logits `[b c]`.
        inputs: The inputs to attack, floating point, inside the bounds.
        labels: Their true labels, or the wanted ones when `targeted`; in `[0, c)`.
        budget: What a sample may cost, in gradients; a forward pass counts as 0.4 of one. 30 is
            a good first look, 100 is near the best that is known, 1,000 is for the last percent.
        targeted: Look for points that are classified as `labels`, instead of as anything else.
        levels: Round each point to that many evenly spaced values (256 for 8-bit images).
        bounds: The lowest and the highest value of an input.
        generator: Source of what is random; by default one of its own with a fixed seed.
        starts: Adversarial points to go on from, inside the bounds: the result is never farther
            away than they are. Others do neither good nor harm.

    Returns:
        The closest adversarial of each sample among all points visited, with its L2 distance.

    Raises:
        ValueError: If an argument is not as described, or the model cannot take the inputs.
    """
    checks.check_problem(model, inputs, labels, bounds, starts)
    few = ordinary(inputs[:FEW])
    doubts = []
    if len(few) > 0:
        with own_autograd_mode():
            doubts.append(doubt_of_logits(clean_logits(model, few, labels[:FEW])))
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
    doubtful = inputs if result.success.all() else inputs[~result.success]
    if len(doubtful) > 0:
        with own_autograd_mode():
            doubts.append(doubt_of_gradients(model, ordinary(doubtful[:FEW])))
    for doubt in doubts:
        if doubt is not None:
            warnings.warn(doubt, stacklevel=2)
    return result
