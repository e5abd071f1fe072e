"""Warm starts: in training, attacks begin at the perturbed samples of the previous epoch.

Shafahi et al.: "Adversarial Training for Free!", NeurIPS 2019, https://arxiv.org/abs/1904.12843,
and Zheng, Zhang, Gu, Guo, Prakash: "Efficient Adversarial Training with Transferable Adversarial
Examples", CVPR 2020, https://arxiv.org/abs/1912.11969, found that perturbations remain useful from
one epoch to the next. The method of the latter undoes the augmentation of an epoch, and applies
that of the next one to the perturbation. This module does the same.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.errors import one_line
from minnorm.geometry import norms, project_onto_ball
from minnorm.training.augmentation import Augmentation
from minnorm.training.loading import TrainingBatch

logger = logging.getLogger(__name__)

_SHARED_AT_ONCE = 1024
"""Samples whose perturbations the ranks share at a time, to save GPU memory."""


class WarmStarts:
    """The last perturbation of each training sample, before augmentation, in float16 on the CPU.

    At first there are none. With several ranks, each rank has those of its own samples until
    `share` is called.

    Args:
        samples: The number of samples.
        augment: The augmentation of the training.
    """

    def __init__(self, samples: int, augment: Augmentation) -> None:
        self._samples, self._augment = samples, augment
        self._perturbations: Tensor | None = None
        self._new = torch.zeros(samples, dtype=torch.bool)
        self._has_warned = False

    def starts(self, batch: TrainingBatch, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Return the points, in 0..1, to which the samples of a batch were perturbed last.

        An augmentation that enlarges an image enlarges its perturbation: the norm is then scaled
        down to the earlier one.

        Args:
            batch: The batch, with images.
            inputs: Its inputs, on the device of the training.
        """
        if self._perturbations is None:
            return inputs
        images = _images(batch)
        known = self._perturbations[batch.positions].to(images)
        moved = self._augment((images + known).clamp(0, 1), batch.seeds).to(inputs)
        return inputs + project_onto_ball(moved - inputs, norms(known).to(inputs), "l2")

    def keep(
        self, batch: TrainingBatch, inputs: Float[Tensor, "b *d"], points: Float[Tensor, "b *d"]
    ) -> None:
        """Remember the points to which the samples of a batch were perturbed."""
        images = _images(batch)
        perturbations = (points - inputs).detach().cpu()
        if self._perturbations is None:
            shape = (self._samples, *images.shape[1:])
            self._perturbations = torch.zeros(shape, dtype=torch.float16)
        undone = self._without_augmentation(images, batch.seeds, perturbations)
        # An adjoint that is not the inverse may make them longer.
        undone = project_onto_ball(undone, norms(perturbations), "l2")
        self._perturbations[batch.positions] = undone.half()
        self._new[batch.positions] = True

    def _without_augmentation(
        self, images: Tensor, seeds: Sequence[int], perturbations: Tensor
    ) -> Tensor:
        """Undo the augmentation; return zeros where a transform has no gradient."""
        # The adjoint, which autograd computes, moves pixels back to where they came from.
        try:
            with torch.enable_grad():
                variables = images.clone().requires_grad_()
                augmented = self._augment(variables, seeds)
                (undone,) = torch.autograd.grad(augmented, variables, perturbations.to(augmented))
        except (RuntimeError, ValueError) as error:
            if not self._has_warned:
                logger.warning(
                    "warm_start: the augmentation has no gradient, so no perturbations are kept: "
                    "attacks start at the inputs"
                )
                logger.info("the gradient of the augmentation: %s", one_line(error))
            self._has_warned = True
            return torch.zeros_like(images)
        return undone

    def share(self, all_reduce: Callable[[Tensor], Any]) -> None:
        """Exchange the new perturbations with the other ranks.

        Args:
            all_reduce: Returns the sum of a tensor over all ranks.
        """
        # The ranks take the same number of batches: this is true on all of them or on none.
        if self._perturbations is None or not self._new.any():
            return
        for part in torch.split(torch.arange(self._samples), _SHARED_AT_ONCE):
            known = self._perturbations[part]
            rows = self._new[part].view(-1, *[1] * (known.dim() - 1))
            # Each sample is new on at most one rank: the sum is the perturbation on that rank.
            received = all_reduce(known.where(rows, 0).float()).to("cpu", torch.float16)
            new = all_reduce(rows.float()).cpu() > 0
            self._perturbations[part] = received.where(new, known)
        self._new.zero_()

    def state_dict(self) -> dict[str, Tensor | None]:
        """Return the state for a checkpoint."""
        return {"perturbations": self._perturbations}

    def load_state_dict(self, state: dict[str, Tensor | None]) -> None:
        """Restore the state of a checkpoint."""
        self._perturbations = state["perturbations"]
        self._new.zero_()


def _images(batch: TrainingBatch) -> Tensor:
    assert batch.images is not None  # noqa: S101 - the loop requests them for a warm start
    return batch.images
