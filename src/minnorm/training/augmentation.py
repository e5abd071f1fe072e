"""Augmentation: transforms of torchvision (v2), named by specs."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm import factories, specs
from minnorm.errors import InputError, MissingLibraryError, one_line

Augmentation: TypeAlias = Callable[[Float[Tensor, "b *d"], Sequence[int]], Float[Tensor, "b *d"]]
"""`(images, a seed for each) -> augmented images`."""

_Transform: TypeAlias = Callable[[Tensor], Tensor]

_ROUNDING = 1e-3
"""By how much an interpolation may leave 0..1."""


def load_augmentation(names: Sequence[str]) -> Augmentation:
    """Return an augmentation made of torchvision's transforms.

    Each image is transformed alone, with random numbers that follow from its seed: the result does
    not depend on the rest of the batch, nor on the number of ranks.

    Args:
        names: The transforms in their order, each the spec of a class of
            `torchvision.transforms.v2`, for example `RandomCrop(size=32, padding=4)`. Without any,
            images stay as they are.

    Returns:
        The augmentation. It raises an `InputError` if a transform raises an error, if the images
        have different sizes afterwards, or if they leave 0..1.

    Raises:
        InputError: If a transform does not exist, or does not take its arguments.
        MissingLibraryError: If torchvision is not installed.
    """
    transforms = [_transform(name) for name in names]
    # Partials rather than closures: worker processes that are not forked unpickle the augmentation.
    return partial(_checked, ", ".join(names), transforms) if transforms else _unchanged


def _unchanged(images: Tensor, _seeds: Sequence[int]) -> Tensor:
    return images


def _checked(
    names: str, transforms: Sequence[_Transform], images: Tensor, seeds: Sequence[int]
) -> Tensor:
    try:
        augmented: object = _augmented(transforms, images, seeds)
    except Exception as error:  # a transform raises errors of any kind
        raise InputError(f"augmentation: {names} raised {one_line(error)}") from error
    if not isinstance(augmented, Tensor) or not augmented.is_floating_point():
        raise InputError(f"augmentation: {names} does not return floating-point images.")
    low, high = (float(bound) for bound in augmented.detach().aminmax())
    if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:
        raise InputError(
            f"augmentation: {names} returns images from {low:g} to {high:g}; expected 0..1. "
            "Normalization belongs in the network: architecture: mine(mean=[0.5], std=[0.25])."
        )
    with torch.no_grad():  # with it, pixels at the bounds would have no gradient
        return augmented.clamp_(0, 1)


def _augmented(transforms: Sequence[_Transform], images: Tensor, seeds: Sequence[int]) -> Tensor:
    augmented = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images, seeds, strict=True):
            # `torch.manual_seed` would seed GPUs too. Without a GPU, PyTorch queues each of these
            # calls for later, and the queue would grow with each image.
            torch.default_generator.manual_seed(seed)
            for transform in transforms:
                image = transform(image)  # noqa: PLW2901 - one transform after another
            augmented.append(image)
    return torch.stack(augmented)


def _transform(name: str) -> _Transform:
    try:
        from torchvision.transforms import v2
    except ImportError as error:
        raise MissingLibraryError(
            "augmentation needs torchvision: pip install 'minnorm[training]'"
        ) from error
    known = {
        key: value
        for key, value in vars(v2).items()
        if isinstance(value, type) and issubclass(value, v2.Transform) and value is not v2.Transform
    }
    parsed = specs.parse(name)
    if parsed.part is not None:
        raise InputError(f"{name!r}: a transform has no slice, remove it.")
    chosen: Any = known[specs.choose(parsed.head, known, "transform")]
    factories.check_arguments(chosen, parsed.arguments, parsed.head)
    try:
        transform: _Transform = chosen(**parsed.arguments)
    except Exception as error:  # a transform raises errors of any kind
        raise InputError(f"{name}: {one_line(error)}") from error
    return transform
