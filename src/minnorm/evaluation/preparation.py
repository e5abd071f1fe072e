"""How an evaluation asks its model: accelerated or not, and how many samples at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from minnorm import runtime
from minnorm.acceleration import SAMPLES, Accelerated, accelerate, choose_batch_size
from minnorm.attacks import Model
from minnorm.attacks.look import FEW
from minnorm.data import Data
from minnorm.evaluation.intake import read_batch
from minnorm.geometry import Bounds

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
    data: Data,
    bounds: Bounds,
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
        data: The data; measured is on its first samples.
        bounds: The bounds of the inputs.
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
    # Few are read, and repeated: one that cannot be used is reported with its batch.
    few, _ = read_batch(model, data, range(min(FEW, len(data))), bounds)
    example = few.repeat(-(-SAMPLES // len(few)), *(1,) * (few.ndim - 1))
    prepared, size = None, 0
    with runtime.same_on_all_ranks():
        if runtime.rank() == 0:
            prepared = accelerate(model, example, use)
            size = _batch_size(prepared, example, data) if batch_size == "auto" else batch_size
    used, size = runtime.gather((prepared.used if prepared else use, size))[0]
    with runtime.same_on_all_ranks():
        return Preparation(prepared or accelerate(model, example, used), size)


def _batch_size(prepared: Accelerated, example: Tensor, data: Data) -> int:
    share = -(-len(data) // runtime.world_size())
    memory = _SHARE_OF_MEMORY * runtime.available_memory(example.device)
    with torch.no_grad():
        return choose_batch_size(
            prepared.coarse or prepared.exact, example, most=share, memory=memory
        )
