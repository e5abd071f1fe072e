"""Probes of a model: whether its outputs and its gradients can be attacked."""

import torch
from torch import Tensor

from minnorm.attacks.contract import Model
from minnorm.attacks.engine.autograd import differentiable
from minnorm.errors import InputError, one_line

PROBE_SAMPLES = 8
"""The number of samples that a model is probed on."""


def doubt_about_logits(logits: Tensor) -> str | None:
    """Return a warning if the outputs of a model are not fit for an attack, otherwise `None`."""
    if logits.isnan().any():
        return (
            "Some of the model's logits are NaN, on the samples probed. NaN is no class, so no "
            "attack succeeds on such samples. They are not robust: an evaluation counts them as "
            "misclassified."
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
