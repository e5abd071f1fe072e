"""The attack for those who do not want to choose one."""

from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm.attacks._normal_pursuit import normal_pursuit
from minnorm.attacks.contract import AttackResult, Model
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
) -> AttackResult:
    """Finds the closest adversarials, in L2, that a budget allows.

    This is the best attack of the package, at present `normal_pursuit`.

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

    Returns:
        The closest adversarial of each sample among all points visited, with its L2 distance.

    Raises:
        ValueError: If an argument is not as described.
    """
    return normal_pursuit(
        model,
        inputs,
        labels,
        budget=budget,
        targeted=targeted,
        levels=levels,
        bounds=bounds,
        generator=generator,
    )
