"""Probes of a model: whether it takes the inputs, and whether its outputs can be attacked."""

import torch
from torch import Tensor

from minnorm.acceleration import answer
from minnorm.attacks.contract import Model
from minnorm.attacks.engine.autograd import differentiable
from minnorm.errors import InputError, OutOfMemoryError, one_line
from minnorm.logits import check_logits

PROBE_SAMPLES = 8
"""The number of samples that a model is probed on."""


def clean_logits(model: Model, inputs: Tensor, labels: Tensor, source: str = "") -> Tensor:
    """Return the model's logits of a batch; in parts, if memory does not suffice for all of it.

    Args:
        model: The classifier.
        inputs: The batch.
        labels: Its labels.
        source: Where the batch comes from, for the messages.

    Raises:
        InputError: If the model fails on the batch, or its output does not fit the labels.
        OutOfMemoryError: If memory does not suffice for a single sample.
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


def doubt_about_logits(logits: Tensor) -> str | None:
    """Return a warning if the outputs of a model are not fit for an attack, otherwise `None`."""
    if logits.isnan().any():
        return (
            "Some of the model's logits are NaN, on the samples probed. No attack succeeds on such "
            "samples, so they count as robust at every radius, which they are not."
        )
    probabilities = logits.min() >= 0 and torch.allclose(
        logits.sum(1), torch.ones_like(logits[:, 0]), atol=1e-3
    )
    if not probabilities:
        return None
    return (
        "The model's outputs look like probabilities (from 0 to 1, with sum 1); attacks expect "
        "logits. Remove the softmax: its gradients vanish where the model is certain, so the model "
        "would look more robust than it is."
    )


def doubt_about_gradients(model: Model, inputs: Tensor) -> str | None:
    """Return a warning if the model has no gradients with respect to its inputs, else `None`.

    Raises:
        InputError: If it cannot be differentiated.
    """
    try:
        with torch.no_grad():
            logits, pull_back = differentiable(model, inputs)
            classes = torch.arange(len(inputs), device=logits.device) % logits.shape[1]
            gradients = pull_back(torch.zeros_like(logits).scatter_(1, classes.unsqueeze(1), 1.0))
    except Exception as error:  # a user's model may raise anything
        raise InputError(
            f"the model cannot be differentiated with respect to its inputs: {one_line(error)}"
        ) from error
    if gradients.any():
        return None
    return (
        "The model's gradients with respect to its inputs are all zero, on the samples probed: its "
        "output does not depend on them, or one of its steps blocks gradients (.detach(), "
        "rounding, argmax). Attacks that use gradients find little, which says nothing about its "
        "robustness."
    )
