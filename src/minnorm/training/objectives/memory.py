"""How the training samples were perturbed the last time, to start from there: warm starts.

Shafahi et al.: "Adversarial Training for Free!", NeurIPS 2019, https://arxiv.org/abs/1904.12843,
and Zheng, Zhang, Gu, Guo, Prakash: "Efficient Adversarial Training with Transferable Adversarial
Examples", CVPR 2020, https://arxiv.org/abs/1912.11969, found that perturbations keep their worth
from one epoch to the next. The latter undo the augmentation of one epoch, and do that of the next
one to the perturbation; so does this.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm.errors import in_short
from minnorm.geometry import into_ball, norms

logger = logging.getLogger(__name__)

_SHARED_AT_ONCE = 1024
"""Samples whose perturbations are on a GPU at a time, for the ranks to share."""


class Memory:
    """The perturbation of each sample without augmentation, in float16 on the CPU; none at first.

    Of several ranks each knows those of its own samples, until `share`.

    Args:
        samples: How many there are.
    """

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._perturbations: Tensor | None = None
        self._new = torch.zeros(samples, dtype=torch.bool)
        self._batch = torch.empty(0, dtype=torch.int64)
        self._images = torch.empty(0)
        self._augment: Callable[[Tensor], Tensor] = lambda images: images
        self._forgets = False

    def turn_to(
        self,
        batch: Int64[Tensor, "b"],
        images: Float[Tensor, "b *d"],
        augment: Callable[[Tensor], Tensor],
    ) -> None:
        """Is told which samples are asked about next.

        Args:
            batch: Their positions.
            images: The samples without augmentation, on the CPU.
            augment: What becomes of them in this epoch, the same each time it is called.
        """
        self._batch, self._images, self._augment = batch, images, augment

    def starts(self, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Gives the points at which the samples of the batch were the last time, in 0..1.

        What enlarges an image enlarges its perturbation, which is scaled down to what it was.
        """
        if self._perturbations is None:
            return inputs
        known = self._perturbations[self._batch].to(self._images)
        moved = self._augment((self._images + known).clamp(0, 1)).to(inputs)
        return inputs + into_ball(moved - inputs, norms(known).to(inputs), "l2")

    def keep(self, inputs: Float[Tensor, "b *d"], points: Float[Tensor, "b *d"]) -> None:
        """Remembers where the samples of the batch are now."""
        perturbations = (points - inputs).detach().cpu()
        if self._perturbations is None:
            shape = (self._samples, *self._images.shape[1:])
            self._perturbations = torch.zeros(shape, dtype=torch.float16)
        # An adjoint that is no inverse may make them longer.
        undone = into_ball(self._undone(perturbations), norms(perturbations), "l2")
        self._perturbations[self._batch] = undone.half()
        self._new[self._batch] = True

    def _undone(self, perturbations: Tensor) -> Tensor:
        """Gives perturbations before augmentation; none where a transform has no gradient."""
        # What moves pixels elsewhere is undone by its adjoint, which autograd knows.
        try:
            with torch.enable_grad():
                images = self._images.clone().requires_grad_()
                augmented = self._augment(images)
                (undone,) = torch.autograd.grad(augmented, images, perturbations.to(augmented))
        except (RuntimeError, ValueError) as error:
            if not self._forgets:
                logger.warning(
                    "warm_start: of augmentation without a gradient no perturbations are kept"
                )
                logger.info("the gradient of the augmentation: %s", in_short(error))
            self._forgets = True
            return torch.zeros_like(self._images)
        return undone

    def share(self, all_reduce: Callable[[Tensor], Any]) -> None:
        """Tells the other ranks what is new, and is told.

        Args:
            all_reduce: Gives the sum over all ranks.
        """
        if self._perturbations is None or not self._new.any():  # which all ranks say or none
            return
        for part in torch.split(torch.arange(self._samples), _SHARED_AT_ONCE):
            known = self._perturbations[part]
            rows = self._new[part].view(-1, *[1] * (known.dim() - 1))
            # Each sample is new on at most one rank, so that the sum is what that rank has.
            told = all_reduce(known.where(rows, 0).float()).to("cpu", torch.float16)
            new = all_reduce(rows.float()).cpu() > 0
            self._perturbations[part] = told.where(new, known)
        self._new.zero_()

    def state_dict(self) -> dict[str, Tensor | None]:
        """Gives what a checkpoint holds of it."""
        return {"perturbations": self._perturbations}

    def load_state_dict(self, state: dict[str, Tensor | None]) -> None:
        """Takes what a checkpoint holds of it."""
        self._perturbations = state["perturbations"]
        self._new.zero_()
