"""What a model returns for a batch, or why it fails."""

import torch
from torch import Tensor

from minnorm.errors import InputError, one_line
from minnorm.logits import Model
from minnorm.runtime.memory import is_out_of_memory


def answer(model: Model, inputs: Tensor, *, what: str = "inputs", where: str = "") -> Tensor | None:
    """Return what a model returns for a batch, unchecked and without gradients.

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
            return model(inputs)
    except Exception as error:  # a user's model may raise anything
        if is_out_of_memory(error):
            return None
        origin = f" from {where}" if where else ""
        raise InputError(
            f"the model cannot take {what} of shape {list(inputs.shape)} ({inputs.dtype})"
            f"{origin}: {one_line(error)}"
        ) from error
