"""Batches as the model takes them: read, checked, and classified before any attack."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm import boxes
from minnorm.acceleration import clean_logits
from minnorm.attacks import Model
from minnorm.attacks.engine.samples import check_samples
from minnorm.boxes import Bounds
from minnorm.data import Data
from minnorm.errors import InputError
from minnorm.evaluation.running.votes import Decision, Votes, votes_on_inputs
from minnorm.runtime.devices import dtype_and_device


@dataclass(frozen=True)
class CleanBatch:
    """A batch of samples before any attack.

    Attributes:
        indices: Positions of the samples in the whole data set.
        inputs: The samples, in the dtype and on the device of the model.
        labels: Their true classes.
        logits: The model's logits of them.
        votes: The votes of a random model for them, once they are counted.
    """

    indices: list[int]
    inputs: Float[Tensor, "b *d"]
    labels: Int64[Tensor, "b"]
    logits: Float[Tensor, "b c"]
    votes: Votes | None = None


def read_batch(model: Model, data: Data, positions: Sequence[int], bounds: Bounds) -> CleanBatch:
    """Read a batch, check it, and compute the model's logits.

    Args:
        model: The classifier.
        data: The data.
        positions: Positions of the samples in the data; at least one.
        bounds: The bounds of the inputs.

    Raises:
        InputError: If inputs are NaN or outside the bounds, labels are not whole numbers, or the
            model fails on the batch. If samples cause the error, the message says which.
        OutOfMemoryError: If there is not enough memory for a single sample.
    """
    dtype, device = dtype_and_device(model)
    inputs, labels = data.batch(positions)
    inputs, labels = inputs.to(device, dtype), labels.to(device)
    indices = [data.indices[position] for position in positions]
    try:
        check_samples(inputs, labels, bounds)
    except InputError as error:
        raise InputError(f"{data.name}, samples {indices[0]} to {indices[-1]}: {error}") from error
    if dtype == torch.float64:  # float32 data may be outside the bounds by their rounding
        inputs = boxes.clip_(inputs.clone(), boxes.for_batch(bounds, inputs))
    return CleanBatch(indices, inputs, labels, clean_logits(model, inputs, labels, data.name))


def with_votes(model: Model, batch: CleanBatch, source: str) -> CleanBatch:
    """Return a batch with the votes of a random model, and as it is for any other model.

    Args:
        model: The classifier.
        batch: The batch.
        source: Where it comes from, for messages.
    """
    return replace(batch, votes=votes_on_inputs(model, batch.inputs, batch.labels, source))


def decision_before(
    batch: CleanBatch, labels: Int64[Tensor, "b"], *, targeted: bool = False
) -> Decision:
    """Return what the model decides for a batch before any attack.

    Args:
        batch: The batch.
        labels: The true labels, or the target classes if `targeted`.
        targeted: Whether the labels are target classes.
    """
    if batch.votes is None:
        return Decision(batch.logits, None)
    return batch.votes.for_inputs(labels, targeted)
