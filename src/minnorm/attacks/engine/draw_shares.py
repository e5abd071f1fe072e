"""The draws of random models: those that an attack sees, and further ones.

An attack finds points on the decision boundary of an average over fixed draws. A second set of
draws is for moving its adversarials until they hold, see `engine.other_draws`. A third set, which
no attack sees, is for the evaluation.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm.attacks.contract import Model
from minnorm.logits import is_adversarial, output_of
from minnorm.models.averaged import Averaged, seed_of, single_draw

CONFIRMING, JUDGING = 1, 2
"""The set of draws that attacks confirm their points with, and that of the evaluation."""

_TIMES_AS_MANY, _FEWEST = 8, 100
"""The draws of these sets, as a multiple of those of the average, and at least."""

_DEVIATIONS = 2.0
"""By how many standard deviations of the difference between two sets of draws a share must exceed
the threshold: 98 of 100 points that just do so reach the threshold in the other set."""


def number_of_draws(part: Averaged) -> int:
    """Return the number of draws of each further set, beside those of the average itself."""
    return max(_TIMES_AS_MANY * part.draws, _FEWEST)


def draw_seeds(part: Averaged, which: int) -> list[int]:
    """Return the seeds of a further set of draws.

    Args:
        part: The average.
        which: `CONFIRMING` or `JUDGING`.
    """
    return [seed_of(part.seed, which, number) for number in range(number_of_draws(part))]


def required_share(part: Averaged) -> float:
    """Return the share of the confirming draws from which on a point is expected to hold."""
    threshold = part.threshold
    variance = threshold * (1 - threshold) / number_of_draws(part)
    return min(threshold + _DEVIATIONS * math.sqrt(2 * variance), 1.0)


def shares_of_draws(
    model: Model,
    points: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    targeted: bool,
    seeds: list[int],
) -> Float[Tensor, "b"]:
    """Return the share of draws in which each point is adversarial, in float64.

    Args:
        model: The classifier, a part of which averages over draws.
        points: The points.
        labels: Their true labels, or the target classes if `targeted`.
        targeted: Whether the labels are target classes.
        seeds: The seeds of the draws.
    """
    held = torch.zeros(len(points), dtype=torch.float64, device=points.device)
    for seed in seeds:
        with single_draw(seed), torch.no_grad():
            held += is_adversarial(output_of(model, points), labels, targeted)
    return held / len(seeds)
