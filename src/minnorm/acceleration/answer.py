"""A model's answer to a batch, or what is wrong with the two."""

import torch
from torch import Tensor

from minnorm.acceleration.accelerated import Classifier
from minnorm.acceleration.memory import is_out_of_memory
from minnorm.errors import in_short


def answer(
    model: Classifier, inputs: Tensor, *, what: str = "inputs", where: str = ""
) -> Tensor | None:
    """Gives what a model says of a batch, of whatever kind it is, without gradients.

    Args:
        model: The classifier.
        inputs: The batch.
        what: What it is called in the message.
        where: Where it comes from, for the message.

    Returns:
        `None` where memory does not suffice.

    Raises:
        ValueError: If the model fails on it.
    """
    try:
        with torch.no_grad():
            return model(inputs)
    except Exception as error:  # whatever a user's model raises, it is the model that failed
        if is_out_of_memory(error):
            return None
        origin = f" from {where}" if where else ""
        raise ValueError(
            f"the model cannot take {what} of shape {list(inputs.shape)} ({inputs.dtype})"
            f"{origin}: {in_short(error)}"
        ) from error
