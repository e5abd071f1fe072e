"""Augmentation: torchvision's transforms (v2), by the words of a recipe."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm import specs

Augmentation: TypeAlias = Callable[[Float[Tensor, "b *d"], Sequence[int]], Float[Tensor, "b *d"]]
"""`(images, a seed for each) -> augmented images`."""


def load_augmentation(names: Sequence[str]) -> Augmentation:
    """Makes an augmentation of torchvision's transforms.

    Each image is transformed by itself with random numbers that follow from its seed alone: what
    becomes of it does not depend on the batch that it is in, nor on the number of ranks.

    Args:
        names: The transforms in their order, each the spec of a class of
            `torchvision.transforms.v2`, for example `RandomCrop(size=32, padding=4)`. None at all
            leaves the images as they are.

    Raises:
        ValueError: If there is no such transform, or it does not take such arguments.
        ImportError: If torchvision is not installed.
    """
    if not names:
        return lambda images, _: images
    transforms = [_transform(name) for name in names]

    def augment(images: Tensor, seeds: Sequence[int]) -> Tensor:
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

    return augment


def _transform(name: str) -> Callable[[Tensor], Tensor]:
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
        transform: Callable[[Tensor], Tensor] = chosen(**parsed.arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error
    return transform
