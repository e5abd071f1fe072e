"""Gradients to the inputs, and to nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor

from minnorm.attacks.contract import Model


@contextmanager
def own_autograd_mode() -> Iterator[None]:
    """Lets an attack differentiate in whatever mode it is called.

    Inside, nothing is recorded by default, and `torch.inference_mode` of the caller is suspended,
    since its tensors can never be differentiated.
    """
    with torch.inference_mode(False), torch.no_grad():
        yield


def ordinary(values: Tensor) -> Tensor:
    """Gives the values apart from any graph; inference tensors as ordinary ones."""
    return values.clone() if values.is_inference() else values.detach()


def differentiable(model: Model, points: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
    """Evaluates the model at `points`: one forward pass, ready for one backward pass.

    Neither parameters nor their `.grad` are touched.

    Args:
        model: The classifier.
        points: Where to evaluate it, `[b *d]`.

    Raises:
        ValueError: If the model gives something else than a tensor.

    Returns:
        The logits `[b c]`, and a function that pulls a direction in logit space back to the
        inputs: given the gradient of some loss with respect to the logits, it gives that with
        respect to the points, `[b *d]`. After each call but the last one `again=True` is needed.
        A model whose output does not depend on its input gives zeros.
    """
    with torch.enable_grad():
        variables = points.detach().requires_grad_()
        logits = model(variables)
    if not isinstance(logits, Tensor):
        raise ValueError(f"the model gave a {type(logits).__name__}; expected a tensor of logits.")

    def pull_back(cotangents: Tensor, *, again: bool = False) -> Tensor:
        if not logits.requires_grad:
            return torch.zeros_like(points)
        (gradients,) = torch.autograd.grad(
            logits,
            variables,
            cotangents,
            retain_graph=again,
            allow_unused=True,
            materialize_grads=True,
        )
        return gradients

    return logits.detach(), pull_back


def draw_seed(generator: Generator | None) -> int:
    """Draws a seed from the generator; without one it is fixed: never from the global one.

    Raises:
        ValueError: If it is no generator.
    """
    if generator is None:
        return 0
    if not isinstance(generator, Generator):
        raise ValueError(
            f"generator is a {type(generator).__name__}; expected a torch.Generator, for example "
            "torch.Generator().manual_seed(0)."
        )
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def noise_of_sample(inputs: Tensor, generator: Generator) -> Tensor:
    """Draws normal noise of the shape of one sample, `[*d]`, to be shared by the whole batch.

    Shared, so that a sample's result does not depend on which others it is attacked with.
    """
    noise = torch.randn(
        inputs.shape[1:], generator=generator, dtype=inputs.dtype, device=generator.device
    )
    return noise.to(inputs.device)
