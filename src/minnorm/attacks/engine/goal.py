"""The goal of an attack: any class but the label, or a target class."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm import logits as of_logits

_ROUNDING = 16
"""How much another summation order may change a logit, in units in the last place of the largest
logit that is not masked."""


@dataclass(frozen=True)
class Goal:
    """What an attack aims at, for each sample of a batch.

    Attributes:
        labels: The true labels, or the target classes when `targeted`.
        targeted: Whether the labels are target classes.
        confidence: How negative the margin of a point must be for the point to count.
    """

    labels: Int64[Tensor, "b"]
    targeted: bool
    confidence: float = 0.0

    def part(self, rows: Int64[Tensor, "k"]) -> "Goal":
        """Return the goal of some of the samples."""
        return Goal(self.labels[rows], self.targeted, self.confidence)

    def decide(
        self, logits: Float[Tensor, "b c"]
    ) -> tuple[Bool[Tensor, "b"], Bool[Tensor, "b"] | None]:
        """Decide which logits are adversarial, and which of them under any summation order.

        Returns:
            Whether each is adversarial with the required confidence; and whether it stays so if
            sums are rounded differently. The second is `None` in half precision, in which no point
            near the boundary would be certain.
        """
        adversarial = of_logits.is_adversarial(logits, self.labels, self.targeted)
        margins = self.margins(logits)
        beyond = -margins - self.confidence
        if self.confidence > 0:
            adversarial &= beyond >= 0
        if logits.dtype not in (torch.float32, torch.float64):
            return adversarial, None
        sizes = of_logits.deciding_sizes(logits, margins)
        rounding = _ROUNDING * torch.finfo(logits.dtype).eps * sizes
        return adversarial, beyond >= rounding

    def margins(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
        """Return the margins: positive before the decision boundary, negative beyond it.

        Untargeted: the label's logit minus the largest other. Targeted: the largest other minus the
        label's. Infinite for logits that hold a NaN.
        """
        signed = of_logits.margins(logits, self.labels)
        return (-signed if self.targeted else signed).nan_to_num(torch.inf, torch.inf, -torch.inf)

    def soft_margins(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
        """Return the margins with a soft maximum over the other logits.

        They rise and fall with the cross-entropy of the label, but do not round to zero where it
        does. Infinite for logits that hold a NaN.
        """
        index = self.labels.unsqueeze(1)
        others = logits.scatter(1, index, -torch.inf).logsumexp(1)
        signed = logits.gather(1, index).squeeze(1) - others
        return (-signed if self.targeted else signed).nan_to_num(torch.inf, torch.inf, -torch.inf)

    def margin_direction(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """Return the direction in logit space in which the margins grow, away from the goal."""
        direction = of_logits.margin_direction(logits, self.labels)
        return -direction if self.targeted else direction

    def logits_ratios(
        self, logits: Float[Tensor, "b c"]
    ) -> tuple[Float[Tensor, "b"], Float[Tensor, "b c"]]:
        """Return the margins divided by the range of the three largest logits, with the gradient.

        See `minnorm.logits.logits_ratio`. In a targeted attack the divisor counts as constant:
        otherwise the gradient would vanish where the target has the third largest logit.

        Returns:
            The ratios, and the direction in logit space in which they grow.
        """
        sign = -1.0 if self.targeted else 1.0
        return of_logits.value_and_direction(
            lambda variables: (
                sign * of_logits.logits_ratio(variables, self.labels, constant_range=self.targeted)
            ),
            logits,
        )

    def cross_entropy_direction(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """Return the direction in logit space towards the goal, by the cross-entropy.

        Along it, the cross-entropy grows in an untargeted attack, and falls in a targeted one.
        """
        direction = of_logits.cross_entropy_direction(logits, self.labels)
        return -direction if self.targeted else direction
