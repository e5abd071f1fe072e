"""Decisions by measurement: the acceleration of the model and the batch size."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from minnorm.acceleration import SAMPLES, Accelerated, accelerate, choose_batch_size, repeated
from minnorm.attacks import Model
from minnorm.evaluation.configuration import Configuration
from minnorm.runtime import memory, ranks

BatchSize: TypeAlias = int | Literal["auto"]
"""Samples attacked at once; `auto` for as many as speed up the run and fit into memory."""

_SHARE_OF_MEMORY = 0.5
"""The share of the available memory that a batch may take; the data and errors take the rest."""


@dataclass(frozen=True)
class Tuning:
    """What was decided.

    Attributes:
        model: The model that the attacks call.
        batch_size: Samples attacked at once.
    """

    model: Accelerated
    batch_size: int


def tune(
    model: Model,
    inputs: Tensor,
    samples: int,
    *,
    acceleration: str,
    batch_size: BatchSize,
    interrupted: Configuration | None,
) -> Tuning:
    """Accelerate a model for an evaluation, and choose the batch size.

    A run that continues uses the decisions from its start. Otherwise only the first rank measures,
    since the records depend on the decisions.

    Args:
        model: The classifier.
        inputs: Some inputs, repeated as an example to measure on.
        samples: The number of samples to evaluate.
        acceleration: What to do, see `minnorm.accelerate`.
        batch_size: The batch size, or `auto`.
        interrupted: The configuration of the run that continues; `None` for a new run.

    Raises:
        InputError: If the acceleration cannot be applied to this model.
    """
    if interrupted is not None:
        acceleration = interrupted.acceleration if acceleration == "auto" else acceleration
        batch_size = interrupted.batch_size if batch_size == "auto" else batch_size
    # A batch of the given size must fit into memory.
    example = repeated(inputs, SAMPLES if batch_size == "auto" else min(SAMPLES, batch_size))
    accelerated, size = None, 0
    with ranks.raise_on_all():
        if ranks.rank() == 0:
            accelerated = accelerate(model, example, acceleration)
            size = _choose(accelerated, example, samples) if batch_size == "auto" else batch_size
    used, size = ranks.gather((accelerated.used if accelerated else acceleration, size))[0]
    with ranks.raise_on_all():
        return Tuning(accelerated or accelerate(model, example, used), size)


def _choose(accelerated: Accelerated, example: Tensor, samples: int) -> int:
    """Choose the batch size by measuring."""
    share = -(-samples // ranks.world_size())
    limit = _SHARE_OF_MEMORY * memory.available_memory(example.device)
    with torch.no_grad():
        return choose_batch_size(accelerated, example, most=share, memory=limit)
