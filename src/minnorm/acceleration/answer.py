"""The output of a model for a batch: its checked logits, or the reason why it fails."""

import torch
from torch import Tensor

from minnorm.errors import (
    InputError,
    OutOfMemoryError,
    batch_size_advice,
    channel_advice,
    layout_advice,
    one_line,
)
from minnorm.logits import Model, check_logits, output_of
from minnorm.runtime.memory import is_out_of_memory


def answer(model: Model, inputs: Tensor, *, what: str = "inputs", where: str = "") -> Tensor | None:
    """Return the output of a model for a batch, unchecked and without gradients.

    Args:
        model: The classifier.
        inputs: The batch.
        what: The name of the batch, for the message.
        where: The source of the batch, for the message.

    Returns:
        The output of the model; `None` if there is not enough memory.

    Raises:
        InputError: If the model fails.
    """
    try:
        with torch.no_grad():
            output: Tensor = output_of(model, inputs)
            return output
    except Exception as error:  # a user's model may raise anything
        if is_out_of_memory(error):
            return None
        if isinstance(error, InputError):  # of a wrapper, which says what is wrong
            raise InputError(f"{where}: {error}" if where else str(error)) from error
        origin = f" from {where}" if where else ""
        advice = batch_size_advice(error) + (layout_advice(inputs.shape) or channel_advice(error))
        reason = one_line(error)
        if advice and not reason.endswith((".", "!", "?")):
            reason += "."
        raise InputError(
            f"the model failed on {what} of shape {list(inputs.shape)} ({inputs.dtype})"
            f"{origin}: {reason}{advice}"
        ) from error


def clean_logits(model: Model, inputs: Tensor, labels: Tensor, source: str = "") -> Tensor:
    """Return the model's logits of a batch, checked; in parts if it does not fit into memory.

    Args:
        model: The classifier.
        inputs: The batch, `[b *d]`.
        labels: Its labels, `[b]`.
        source: Where the batch comes from, for the messages.

    Returns:
        The logits, `[b c]`, without a graph.

    Raises:
        InputError: If the model fails on the batch, or its logits do not fit the labels.
        OutOfMemoryError: If there is not enough memory for a single sample.
    """
    logits = answer(model, inputs, where=source)
    if logits is None:
        if len(inputs) == 1:
            raise OutOfMemoryError("there is not enough memory for a single sample.")
        half = len(inputs) // 2
        parts = (slice(0, half), slice(half, None))
        return torch.cat(
            [clean_logits(model, inputs[part], labels[part], source) for part in parts]
        )
    try:
        check_logits(logits, labels)
    except InputError as error:
        raise InputError(f"{source}: {error}" if source else str(error)) from error
    return logits
