"""Whether two classifiers agree: in their logits, and in their input gradients."""

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.boxes import rows
from minnorm.logits import Model, beyond_rounding, output_of

_GRADIENT_TOLERANCE = 0.05
"""The largest error of a gradient, as a share of its norm."""


def input_gradients(model: Model, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
    """Return the gradients of the largest logits with respect to the inputs.

    They are zero if the logits do not depend on the inputs in a differentiable way.
    """
    with torch.enable_grad():
        variables = inputs.detach().requires_grad_()
        largest = output_of(model, variables).amax(1).sum()
        if not largest.requires_grad:
            return torch.zeros_like(inputs)
        (gradients,) = torch.autograd.grad(largest, variables, materialize_grads=True)
    return gradients


def agree(fast: Model, exact: Model, example: Float[Tensor, "b *d"]) -> bool:
    """Return whether two classifiers have the same logits and gradients, except for rounding.

    Equal logits are not enough: tracing a module may drop its own way to compute gradients. At a
    kink the gradients of single samples may differ, so half of the samples must agree.

    Args:
        fast: The classifier that replaces the other.
        exact: The classifier that is replaced.
        example: The inputs to compare on.
    """
    for part in (example, example[:1]):
        logits, expected = fast(part), exact(part)
        # A GPU may multiply in TensorFloat-32.
        share = 1e3 * torch.finfo(expected.dtype).eps if part.device.type == "cpu" else 1e-2
        if logits.shape != expected.shape or logits.dtype != expected.dtype:
            return False
        if expected.isnan().any() or beyond_rounding(logits, expected, share).any():
            return False
    found, wanted = (rows(input_gradients(model, example)) for model in (fast, exact))
    errors = torch.linalg.vector_norm(found - wanted, dim=1)
    allowed = _GRADIENT_TOLERANCE * torch.linalg.vector_norm(wanted, dim=1)
    return bool((errors <= allowed).double().mean() >= 0.5)


def median_cosine(fast: Model, exact: Model, example: Float[Tensor, "b *d"]) -> float:
    """Return the median cosine between the gradients of two classifiers."""
    expected, found = (rows(input_gradients(model, example)) for model in (exact, fast))
    return float(torch.cosine_similarity(expected, found).median())
