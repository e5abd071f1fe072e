"""Augmentation: torchvision's transforms (v2), by the words of a recipe."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm import specs
from minnorm.errors import in_short

Augmentation: TypeAlias = Callable[[Float[Tensor, "b *d"], Sequence[int]], Float[Tensor, "b *d"]]
"""`(images, a seed for each) -> augmented images`."""

_Transform: TypeAlias = Callable[[Tensor], Tensor]

_ROUNDING = 1e-3
"""How far beyond 0..1 an interpolation may go."""


def load_augmentation(names: Sequence[str]) -> Augmentation:
    """Makes an augmentation of torchvision's transforms.

    Each image is transformed by itself with random numbers that follow from its seed alone: what
    becomes of it does not depend on the batch that it is in, nor on the number of ranks.

    Args:
        names: The transforms in their order, each the spec of a class of
            `torchvision.transforms.v2`, for example `RandomCrop(size=32, padding=4)`. None at all
            leaves the images as they are.

    Returns:
        The augmentation. It raises a `ValueError` where a transform raises anything, where images
        become of several sizes, and where they leave 0..1.

    Raises:
        ValueError: If there is no such transform, or it does not take such arguments.
        ImportError: If torchvision is not installed.
    """
    transforms = [_transform(name) for name in names]
    # No closure, so that processes that load ahead can be given it.
    return partial(_checked, ", ".join(names), transforms) if transforms else _unchanged


def _unchanged(images: Tensor, _: Sequence[int]) -> Tensor:
    return images


def _checked(
    names: str, transforms: Sequence[_Transform], images: Tensor, seeds: Sequence[int]
) -> Tensor:
    try:
        augmented: object = _augmented(transforms, images, seeds)
    except Exception as error:  # whatever a transform raises
        raise ValueError(f"augmentation: {names} raised {in_short(error)}") from error
    if not isinstance(augmented, Tensor) or not augmented.is_floating_point():
        raise ValueError(f"augmentation: {names} gives no floating point images.")
    low, high = (float(bound) for bound in augmented.detach().aminmax())
    if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:
        raise ValueError(
            f"augmentation: {names} gives images from {low:g} to {high:g}; expected "
            "0..1. Normalisation belongs into the network: architecture: mine(mean=[0.5], ...)."
        )
    with torch.no_grad():  # or pixels at the bounds would have no gradient
        return augmented.clamp_(0, 1)


def _augmented(transforms: Sequence[_Transform], images: Tensor, seeds: Sequence[int]) -> Tensor:
    augmented = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images, seeds, strict=True):
            # Images are on the CPU. `torch.manual_seed` seeds GPUs too: without one, each call
            # is put on a queue that nothing ever empties.
            torch.default_generator.manual_seed(seed)
            for transform in transforms:
                image = transform(image)  # noqa: PLW2901 - one transform after the other
            augmented.append(image)
    return torch.stack(augmented)


def _transform(name: str) -> _Transform:
    try:
        from torchvision.transforms import v2
    except ImportError as error:
        raise ImportError(
            "augmentation needs torchvision: pip install 'minnorm[training]'"
        ) from error
    known = {
        key: value
        for key, value in vars(v2).items()
        if isinstance(value, type) and issubclass(value, v2.Transform) and value is not v2.Transform
    }
    parsed = specs.parse(name)
    if parsed.part is not None:
        raise ValueError(f"{name!r}: a transform has no slice.")
    chosen: Any = known[specs.choose(parsed.head, known, "transform")]
    specs.check_arguments(chosen, parsed.arguments, parsed.head)
    try:
        transform: _Transform = chosen(**parsed.arguments)
    except Exception as error:  # whatever a transform raises of what it is given
        raise ValueError(f"{name}: {in_short(error)}") from error
    return transform
