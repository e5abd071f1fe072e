"""What an attack wants of a sample: a class that is not its label, or one that is wanted."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.losses import (
    cross_entropy_direction,
    is_adversarial,
    logits_ratio,
    margin_direction,
    margins,
    value_and_direction,
)

_ROUNDING = 16
"""By how many units in the last place of the largest logit another order of sums may change one."""


@dataclass
class Goal:
    """What is wanted of each sample of a batch.

    Attributes:
        labels: Their labels, or the wanted ones when `targeted`.
        targeted: Which of the two.
        confidence: How negative the margin has to be for a point to be taken.
    """

    labels: Int64[Tensor, "b"]
    targeted: bool
    confidence: float

    def judged(
        self, logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"]
    ) -> tuple[Bool[Tensor, "b"], Bool[Tensor, "b"] | None]:
        """Gives which logits are adversarial, and which of them surely: not by rounding alone."""
        adversarial = is_adversarial(logits, labels, self.targeted)
        beyond = -self._signed_margins(logits, labels) - self.confidence
        if self.confidence > 0:
            adversarial &= beyond >= 0
        # In half precision no point near the boundary would be sure, and all count.
        if logits.dtype not in (torch.float32, torch.float64):
            return adversarial, None
        rounding = _ROUNDING * torch.finfo(logits.dtype).eps * logits.abs().amax(1)
        return adversarial, beyond >= rounding

    def margins(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
        """Gives how far the logits are from adversarial: positive before it, negative beyond.

        Untargeted: the label's logit less the largest other. Targeted: the largest other less the
        label's. Logits that hold a NaN are infinitely far from it.
        """
        return self._signed_margins(logits, self.labels)

    def _signed_margins(self, logits: Tensor, labels: Tensor) -> Tensor:
        signed = margins(logits, labels)
        return (-signed if self.targeted else signed).nan_to_num(torch.inf, torch.inf, -torch.inf)

    def margin_direction(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """Gives the direction in logit space in which these margins grow: away from the goal."""
        direction = margin_direction(logits, self.labels)
        return -direction if self.targeted else direction

    def logits_ratios(
        self, logits: Float[Tensor, "b c"]
    ) -> tuple[Float[Tensor, "b"], Float[Tensor, "b c"]]:
        """Gives these margins in units of the logits' spread, and the direction in which they grow.

        See `losses.logits_ratio`. Targeted, the spread counts as constant: else there would be no
        direction where the target is the third likeliest class.
        """
        sign = -1.0 if self.targeted else 1.0
        return value_and_direction(
            lambda variables: (
                sign * logits_ratio(variables, self.labels, constant_spread=self.targeted)
            ),
            logits,
        )

    def cross_entropy_direction(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """Gives the direction in logit space towards the goal, by the cross-entropy.

        Untargeted: in which the cross-entropy grows. Targeted: in which it falls.
        """
        direction = cross_entropy_direction(logits, self.labels)
        return -direction if self.targeted else direction
