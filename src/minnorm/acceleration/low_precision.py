"""Classifiers that compute in bfloat16, except for their first layer."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from minnorm.logits import Model

Wrap: TypeAlias = Callable[[nn.Module], Model]
"""A function that makes a classifier of a module, for example `channels_last`."""


def autocast(module: nn.Module, wrap: Wrap, example: Tensor) -> Model:
    """Return a classifier in which `torch.autocast` chooses what runs in bfloat16.

    The module changes.

    Args:
        module: The module, in float32.
        wrap: Makes a classifier of the module.
        example: Inputs, to find the first layer.
    """
    device = example.device.type
    first, _ = _first_layer(module, example)
    if first is not None:
        module.set_submodule(first, _Float32Layer(module.get_submodule(first), device))
    classifier = wrap(module)

    def classify(inputs: Tensor) -> Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = classifier(inputs)
        return logits.to(inputs.dtype)

    return classify


def in_bfloat16(module: nn.Module, wrap: Wrap, example: Tensor) -> Model:
    """Return a classifier whose weights and activations after the first layer are bfloat16.

    The module changes. For the arguments see `autocast`.
    """
    first, started = _first_layer(module, example)
    for part in module.modules():
        if part not in started:
            part._apply(_to_bfloat16, recurse=False)  # type: ignore[no-untyped-call]
    if first is not None:
        layer = _Float32Layer(module.get_submodule(first), example.device.type)
        module.set_submodule(first, layer)
    classifier = wrap(module)

    def classify(inputs: Tensor) -> Tensor:
        given = inputs if first is not None else inputs.to(torch.bfloat16)
        return classifier(given).to(inputs.dtype)

    return classify


def _to_bfloat16(values: Tensor) -> Tensor:
    return values.to(torch.bfloat16) if values.is_floating_point() else values


class _Float32Layer(nn.Module):
    """A layer that computes in float32 and returns bfloat16.

    The first layer is wrapped in one: an image in bfloat16 has steps of 1/256, which are larger
    than many adversarial perturbations.
    """

    def __init__(self, layer: nn.Module, device: str) -> None:
        super().__init__()
        self.layer = layer
        self._device = device

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(self._device, enabled=False):
            result: Tensor = self.layer(inputs.float())
        return result.to(torch.bfloat16)


def _first_layer(module: nn.Module, example: Tensor) -> tuple[str | None, set[nn.Module]]:
    """Find the convolution or linear layer that is called first.

    Returns:
        Its name, or `None` if there is none inside the module; and the modules to keep in float32:
        those that are called before it, the layer itself, and what is inside it.
    """
    names = {part: name for name, part in module.named_modules()}
    called: list[nn.Module] = []
    first: list[nn.Module] = []

    def note(part: nn.Module, _: object) -> None:
        if first:
            return
        called.append(part)
        if isinstance(part, (_ConvNd, nn.Linear)):
            first.append(part)

    hooks = [part.register_forward_pre_hook(note) for part in names]
    try:
        module(example[:1])
    finally:
        for hook in hooks:
            hook.remove()
    if not first or not names[first[0]]:
        return None, set()
    return names[first[0]], {*called, *first[0].modules()}
