"""A first look at a model: whether it takes the inputs, and whether its answers can be attacked."""

import torch
from torch import Tensor

from minnorm.acceleration import answer
from minnorm.attacks.contract import Model
from minnorm.attacks.gradients import differentiable
from minnorm.errors import in_short
from minnorm.losses import check_logits

FEW = 8
"""How many samples to look at."""


def clean_logits(model: Model, inputs: Tensor, labels: Tensor, where: str = "") -> Tensor:
    """Gives the model's answer to a batch; in parts, where memory does not suffice for all of it.

    Args:
        model: The classifier.
        inputs: The batch.
        labels: Its labels.
        where: Where it comes from, for the messages.

    Raises:
        ValueError: If the model fails on it, or its answer does not fit the labels.
    """
    logits = answer(model, inputs, where=where)
    if logits is None:
        if len(inputs) == 1:
            raise ValueError("there is not enough memory for a single sample.")
        half = len(inputs) // 2
        parts = (slice(0, half), slice(half, None))
        return torch.cat([clean_logits(model, inputs[part], labels[part], where) for part in parts])
    try:
        check_logits(logits, labels)
    except ValueError as error:
        raise ValueError(f"{where}: {error}" if where else str(error)) from error
    return logits


def doubt_of_logits(logits: Tensor) -> str | None:
    """Says why the numbers of an attack on a model with such answers would be doubtful, if so."""
    if logits.isnan().any():
        return (
            "Some of the model's logits are NaN, on the samples looked at. No attack succeeds on "
            "such samples, so that they count as robust at every radius, which they are not."
        )
    probabilities = logits.min() >= 0 and torch.allclose(
        logits.sum(1), torch.ones_like(logits[:, 0]), atol=1e-3
    )
    if not probabilities:
        return None
    return (
        "The model's outputs look like probabilities (from 0 to 1, with sum 1); attacks expect "
        "logits. Leave the softmax out: its gradients vanish where the model is sure, so that the "
        "model would look more robust than it is."
    )


def doubt_of_gradients(model: Model, inputs: Tensor) -> str | None:
    """Says why attacks that use gradients find little on a model, if it gives none.

    Raises:
        ValueError: If it cannot be differentiated.
    """
    try:
        with torch.no_grad():
            logits, pull_back = differentiable(model, inputs)
            classes = torch.arange(len(inputs), device=logits.device) % logits.shape[1]
            gradients = pull_back(torch.zeros_like(logits).scatter_(1, classes.unsqueeze(1), 1.0))
    except Exception as error:  # the same as above
        raise ValueError(
            f"the model cannot be differentiated with respect to its inputs: {in_short(error)}"
        ) from error
    if gradients.any():
        return None
    return (
        "The model's gradients with respect to its inputs are all zero, on the samples looked at: "
        "it does not depend on them, or some step of it passes no gradient on (.detach(), "
        "rounding, argmax). Attacks that use gradients find little, which says nothing of its "
        "robustness."
    )
