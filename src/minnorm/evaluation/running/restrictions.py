"""How far the attacks of a run may change the inputs: their bounds, and a mask of features."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minnorm import boxes
from minnorm.boxes import Bounds, Interval
from minnorm.evaluation.store.configuration import RestrictionsEntry


@dataclass(frozen=True)
class Restrictions:
    """The bounds of a sample, and which of its features may change.

    Attributes:
        bounds: The lowest and the highest value: two numbers, or tensors that broadcast to a
            sample. Both may be infinite.
        mask: Which features may change; it broadcasts to a sample. `None`: all of them.
    """

    bounds: Bounds
    mask: Bool[Tensor, "..."] | None = None

    def of(self, inputs: Float[Tensor, "b *d"]) -> Bounds:
        """Return the bounds of a batch, with the mask in them."""
        return boxes.masked(boxes.for_batch(self.bounds, inputs), inputs, self.mask)

    @property
    def range(self) -> Interval:
        """The lowest and the highest bound of any feature."""
        return boxes.interval(self.bounds)

    def entry(self, shape: Sequence[int]) -> RestrictionsEntry | None:
        """Return what the manifest records beside the range; `None` for two numbers and no mask.

        Args:
            shape: The shape of a sample.
        """
        if boxes.is_interval(self.bounds) and self.mask is None:
            return None
        low, high = (_expanded(bound, shape) for bound in self.bounds)
        mask = None if self.mask is None else self.mask.cpu().expand(tuple(shape))
        free = low < high if mask is None else (low < high) & mask
        return RestrictionsEntry(
            features=free.numel(),
            free=int(free.sum()),
            bounds=None if boxes.is_interval(self.bounds) else boxes.fingerprint(low, high),
            mask=None if mask is None else boxes.fingerprint(mask),
        )


def _expanded(bound: float | Tensor, shape: Sequence[int]) -> Tensor:
    return torch.as_tensor(bound, dtype=torch.float64).cpu().expand(tuple(shape))
