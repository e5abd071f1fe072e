"""The votes of a random model: its predictions in draws that no attack has seen.

A sample is misclassified, before an attack or after it, if the model misclassifies it in a given
share of these draws, the threshold of the average. Both cases have the same rule and the same
draws, so the accuracy under attack never exceeds the clean accuracy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm.acceleration import clean_logits
from minnorm.attacks import Model
from minnorm.attacks.engine.draw_shares import JUDGING, draw_seeds
from minnorm.logits import output_of, predictions
from minnorm.models.averaged import Averaged, averaged_part, single_draw

_ROUNDING = 1e-9
"""How far a share may be below the threshold by rounding."""


class Decision(NamedTuple):
    """What a model decides for some points.

    Attributes:
        logits: Its logits; of a random model rows with 1 for the class that its votes lead to.
        shares: The share of draws in which each point is adversarial; `None` if it is not random.
    """

    logits: Float[Tensor, "b c"]
    shares: Float[Tensor, "b"] | None


@dataclass(frozen=True)
class Votes:
    """How often a random model predicts each class.

    Attributes:
        shares: The share of draws for each class, in float64. The rest are draws with NaN.
        threshold: The share of draws from which on a point is adversarial.
    """

    shares: Float[Tensor, "b c"]
    threshold: float

    def for_inputs(self, labels: Int64[Tensor, "b"], targeted: bool) -> Decision:
        """Return the decision for inputs: NaN is no class, so such a draw misclassifies them.

        Args:
            labels: The true labels, or the target classes if `targeted`.
            targeted: Whether the labels are target classes.
        """
        own = self._own(labels)
        return self._decision(labels, own if targeted else 1 - own, targeted)

    def for_points(self, labels: Int64[Tensor, "b"], targeted: bool) -> Decision:
        """Return the decision for the points of an attack: NaN is no success of an attack.

        Args:
            labels: The true labels, or the target classes if `targeted`.
            targeted: Whether the labels are target classes.
        """
        own = self._own(labels)
        return self._decision(labels, own if targeted else self.shares.sum(1) - own, targeted)

    def _own(self, labels: Tensor) -> Tensor:
        return self.shares.gather(1, labels.unsqueeze(1)).squeeze(1)

    def _decision(self, labels: Tensor, adversarial: Tensor, targeted: bool) -> Decision:
        holds = adversarial >= self.threshold - _ROUNDING
        others = self.shares.scatter(1, labels.unsqueeze(1), -1.0)
        likeliest, classes = others.max(1)
        # A class nobody votes for is no prediction: then the votes were NaN.
        classes = torch.where(likeliest > 0, classes, -1)
        decided = torch.where(holds == targeted, labels, classes).unsqueeze(1)
        rows = torch.zeros_like(self.shares).scatter_(1, decided.clamp_min(0), 1.0)
        return Decision(torch.where(decided < 0, torch.nan, rows), adversarial)


def votes_on_inputs(
    model: Model, inputs: Float[Tensor, "b *d"], labels: Int64[Tensor, "b"], source: str
) -> Votes | None:
    """Count the predictions of a random model for inputs, in draws that no attack has seen.

    Args:
        model: The classifier.
        inputs: The inputs.
        labels: Their true labels.
        source: Where they come from, for messages.

    Returns:
        The votes; `None` if no part of the model averages over draws.
    """
    part = averaged_part(model)
    if part is None:
        return None
    return _count(part, lambda: clean_logits(model, inputs, labels, source))


def _count(part: Averaged, classify: Callable[[], Tensor]) -> Votes:
    """Count the predictions in the judge's draws of an average.

    Args:
        part: The average.
        classify: Returns the logits of the points.
    """
    seeds = draw_seeds(part, JUDGING)
    counts: Tensor | None = None
    for seed in seeds:
        with single_draw(seed), torch.no_grad():
            logits = classify()
        classes = predictions(logits).unsqueeze(1)
        if counts is None:
            counts = torch.zeros(logits.shape, dtype=torch.float64, device=logits.device)
        counts.scatter_add_(1, classes.clamp_min(0), (classes >= 0).double())
    assert counts is not None  # noqa: S101 - there is at least one draw
    return Votes(counts / len(seeds), part.threshold)


def decide(
    model: Model, points: Float[Tensor, "b *d"], labels: Int64[Tensor, "b"], *, targeted: bool
) -> Decision:
    """Return what a model decides for the points of an attack.

    Args:
        model: The classifier.
        points: The points.
        labels: The true labels, or the target classes if `targeted`.
        targeted: Whether the labels are target classes.
    """
    part = averaged_part(model)
    if part is not None:
        return _count(part, lambda: output_of(model, points)).for_points(labels, targeted)
    with torch.no_grad():
        return Decision(output_of(model, points), None)
