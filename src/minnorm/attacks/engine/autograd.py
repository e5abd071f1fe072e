"""Gradients with respect to the inputs, and the random numbers of an attack."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Generator, Tensor

from minnorm.attacks.contract import BEST_ATTACKS, Model
from minnorm.errors import InputError
from minnorm.logits import output_of

_OF_NUMPY = "Can't call numpy() on Tensor that requires grad"
"""How PyTorch refuses to convert a tensor in a model that is differentiated."""


def without_gradients() -> str:
    """Return what to do with a model that has no gradients, in sentences."""
    names = dict.fromkeys(BEST_ATTACKS[access]["l2"] for access in ("decisions", "scores"))
    return (
        "Put minnorm.models.straight_through around a step that blocks gradients: it "
        "differentiates another function in its place. For a model that can only be predicted, use "
        "minnorm.models.predict_only, or an attack that needs no gradients, such as "
        f"{' or '.join(names)}: minnorm.attack runs one with access='decisions' or 'scores'."
    )


@contextmanager
def own_autograd_mode() -> Iterator[None]:
    """Give an attack an autograd mode of its own, whatever the mode of its caller.

    Inside, autograd records nothing by default. The caller's `torch.inference_mode` is suspended,
    since inference tensors can never be differentiated.
    """
    with torch.inference_mode(False), torch.no_grad():
        yield


def ordinary(values: Tensor) -> Tensor:
    """Return the values detached from any graph; inference tensors become ordinary ones."""
    return values.clone() if values.is_inference() else values.detach()


def differentiable(model: Model, points: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
    """Evaluate the model at `points`: one forward pass, ready for backward passes.

    Neither parameters nor their `.grad` change.

    Args:
        model: The classifier.
        points: Where to evaluate it, `[b *d]`.

    Returns:
        The logits `[b c]`, and the function `pull_back`. It takes the gradient of a loss with
        respect to the logits, and returns the gradient with respect to the points, `[b *d]`; zeros
        if the output does not depend on the points. All calls but the last one need `again=True`.

    Raises:
        InputError: If the model does not return a tensor, or leaves PyTorch while it is
            differentiated.
    """
    with torch.enable_grad():
        variables = points.detach().requires_grad_()
        try:
            logits = output_of(model, variables)
        except RuntimeError as error:
            if _OF_NUMPY not in str(error):
                raise
            raise InputError(
                "the model cannot be differentiated with respect to its inputs, since it passes "
                f"them to NumPy. {without_gradients()}"
            ) from error
    if not isinstance(logits, Tensor):
        raise InputError(
            f"the model returned a {type(logits).__name__}; expected a tensor of logits."
        )
    return logits.detach(), partial(_pull_back, logits, variables)


def draw_seed(generator: object) -> int:
    """Draw a seed from the generator; without one return a fixed seed, never a global one.

    Raises:
        InputError: If it is not a generator.
    """
    if generator is None:
        return 0
    if not isinstance(generator, Generator):
        raise InputError(
            f"generator is a {type(generator).__name__}; expected a torch.Generator, for example "
            "torch.Generator().manual_seed(0)."
        )
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def noise_of_sample(inputs: Tensor, generator: Generator) -> Tensor:
    """Draw normal noise of the shape of one sample, `[*d]`, for the whole batch.

    It is shared, so that a sample's result does not depend on the other samples of its batch.
    """
    noise = torch.randn(
        inputs.shape[1:], generator=generator, dtype=inputs.dtype, device=generator.device
    )
    return noise.to(inputs.device)


def _pull_back(
    logits: Tensor, points: Tensor, cotangents: Tensor, *, again: bool = False
) -> Tensor:
    """Return the gradient with respect to the points, see `differentiable`."""
    if not logits.requires_grad:
        return torch.zeros_like(points)
    # PyTorch also takes the gradient of the logits as an argument, but then it imports sympy,
    # which takes longer than a small attack.
    with torch.enable_grad():
        loss = (logits * cotangents).sum()
    (gradients,) = torch.autograd.grad(
        loss,
        points,
        retain_graph=again,
        allow_unused=True,
        materialize_grads=True,
    )
    return gradients
