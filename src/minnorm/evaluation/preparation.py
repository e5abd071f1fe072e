"""How an evaluation asks its model: accelerated or not, and how many samples at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from minnorm import runtime
from minnorm.acceleration import SAMPLES, Accelerated, accelerate, choose_batch_size, repeated
from minnorm.attacks import Model

BatchSize: TypeAlias = int | Literal["auto"]
"""Samples attacked at once; by default as many as pay, and as fit."""

_SHARE_OF_MEMORY = 0.5
"""How much of what is free a batch may take: the rest is for the data, and for estimates."""


@dataclass(frozen=True)
class Preparation:
    """What was decided.

    Attributes:
        model: The model in the form in which attacks are given it.
        batch_size: Samples attacked at once.
    """

    model: Accelerated
    batch_size: int


def prepare(
    model: Model,
    few: Tensor,
    samples: int,
    *,
    use: str,
    batch_size: BatchSize,
    begun: Mapping[str, Any],
) -> Preparation:
    """Accelerates a model for an evaluation, and finds the batch size.

    What is left open is found by measuring, on the first rank alone, since the records depend on
    it; an interrupted run goes on with what was decided when it began.

    Args:
        model: The classifier.
        few: Some inputs, repeated to measure on.
        samples: How many there are to be evaluated.
        use: What to do, see `minnorm.accelerate`.
        batch_size: The batch size, or `auto`.
        begun: The configuration of the run that goes on, if there is one.

    Raises:
        ValueError: If what is asked for cannot be done with this model.
    """
    if use == "auto":
        use = begun.get("acceleration", use)
    if batch_size == "auto":
        batch_size = begun.get("batch_size", batch_size)
    # A batch of the given size is what memory has to suffice for.
    example = repeated(few, SAMPLES if batch_size == "auto" else min(SAMPLES, batch_size))
    prepared, size = None, 0
    with runtime.same_on_all_ranks():
        if runtime.rank() == 0:
            prepared = accelerate(model, example, use)
            size = _batch_size(prepared, example, samples) if batch_size == "auto" else batch_size
    used, size = runtime.gather((prepared.used if prepared else use, size))[0]
    with runtime.same_on_all_ranks():
        return Preparation(prepared or accelerate(model, example, used), size)


def _batch_size(prepared: Accelerated, example: Tensor, samples: int) -> int:
    share = -(-samples // runtime.world_size())
    memory = _SHARE_OF_MEMORY * runtime.available_memory(example.device)
    with torch.no_grad():
        return choose_batch_size(prepared, example, most=share, memory=memory)
