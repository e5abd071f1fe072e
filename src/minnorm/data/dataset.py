"""Labeled data sets: samples that are read in batches by their positions."""

import hashlib
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm.errors import InputError

Batch: TypeAlias = tuple[Float[Tensor, "b *d"], Int64[Tensor, "b"]]
"""Inputs and their labels."""

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""A NumPy array of any shape and dtype; memory-mapped if it comes from the cache."""


@dataclass(frozen=True)
class Data:
    """A labeled data set, or a slice of one.

    Attributes:
        name: The name in tables, for example `mnist/test`.
        read: Returns the inputs and labels at the given positions of the whole set.
        indices: The positions in the whole set that belong to this slice; records keep them.
        fingerprint: The SHA-256 of the content of the whole set; see `from_arrays` and
            `from_map_dataset`.
        classes: The names of the classes, empty if they are unknown.
    """

    name: str
    read: Callable[[Sequence[int]], Batch] = field(repr=False)
    indices: range
    fingerprint: str
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, part: slice) -> "Data":
        return replace(self, indices=self.indices[part])

    def batch(self, positions: Sequence[int]) -> Batch:
        """Return the samples at `positions` of this slice, `0 <= position < len(self)`."""
        return self.read([self.indices[position] for position in positions])


class MapDataset(Protocol):
    """A map-style PyTorch data set: a length, and a pair (input, label) at each position."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> tuple[Any, Any]: ...


def from_arrays(
    name: str,
    images: Array | Tensor,
    labels: Array | Tensor,
    *,
    fingerprint: str | None = None,
    classes: tuple[str, ...] = (),
) -> Data:
    """Make a data set from arrays or tensors, in memory or mapped from a file.

    Args:
        name: The name of the data set.
        images: `[n *d]`; 8-bit integers are scaled from 0..255 to 0..1, floating-point values stay
            as they are.
        labels: `[n]`, whole numbers from 0.
        fingerprint: The SHA-256 of both; computed by default.
        classes: The names of the classes.

    Raises:
        InputError: If the shapes or dtypes differ from those above.
    """
    image_array, label_array = _as_array(images), _as_array(labels)
    _check_arrays(name, image_array, label_array)
    if fingerprint is None:
        content = [(a.dtype.str, a.shape, checksum(a)) for a in (image_array, label_array)]
        fingerprint = hashlib.sha256(repr(content).encode()).hexdigest()
    read = partial(_read_arrays, image_array, label_array)
    return Data(name, read, range(len(label_array)), fingerprint, classes)


def from_map_dataset(name: str, dataset: MapDataset) -> Data:
    """Make a data set from a map-style PyTorch data set whose items are pairs (input, label).

    The fingerprint covers the length and 16 evenly spaced samples only: reading all of a large set
    could take longer than the evaluation.

    Raises:
        InputError: If the set is empty or its items are not such pairs.
    """
    count = len(dataset)
    if count == 0:
        raise InputError(f"{name} has no samples.")
    read = partial(_read_items, name, dataset)
    inputs, labels = read(evenly_spaced(count, 16))
    content = f"{count} {checksum(inputs.numpy())} {checksum(labels.numpy())}"
    fingerprint = hashlib.sha256(content.encode()).hexdigest()
    return Data(name, read, range(count), fingerprint, tuple(getattr(dataset, "classes", ())))


def evenly_spaced(count: int, most: int) -> list[int]:
    """Return the positions of at most `most` of `count` samples, evenly spaced from the first."""
    few = min(most, count)
    return [count * part // few for part in range(few)]


def checksum(array: Array) -> str:
    """Return the SHA-256 of an array's values in C order, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _as_array(values: Array | Tensor) -> Array:
    """Return an array in native byte order; bfloat16, which NumPy lacks, becomes float32."""
    if isinstance(values, Tensor):
        wide = values.float() if values.dtype == torch.bfloat16 else values
        return wide.detach().cpu().numpy()
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _check_arrays(name: str, images: Array, labels: Array) -> None:
    if images.ndim < 1 or labels.ndim != 1 or len(images) != len(labels):
        raise InputError(
            f"{name}: images have shape {list(images.shape)} and labels {list(labels.shape)}; "
            "expected [n, ...] and [n] with the same n."
        )
    if len(labels) == 0:
        raise InputError(f"{name} has no samples.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{name}: labels are {labels.dtype}; expected whole numbers.")
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            f"{name}: images are {images.dtype}; expected uint8 (0 to 255, scaled to 0 to 1) or "
            "floating point."
        )


def _read_arrays(images: Array, labels: Array, indices: Sequence[int]) -> Batch:
    chosen = torch.from_numpy(np.array(images[indices]))
    if chosen.dtype == torch.uint8:
        chosen = chosen.to(torch.float32) / 255
    return chosen, torch.from_numpy(np.array(labels[indices], dtype=np.int64))


def _read_items(name: str, dataset: MapDataset, indices: Sequence[int]) -> Batch:
    pairs = []
    for index in indices:
        try:
            pairs.append(dataset[index])
        except Exception as error:  # foreign data sets and decoders raise errors of any kind
            files = getattr(dataset, "samples", None)
            file = f" ({files[index][0]})" if files else ""
            raise InputError(
                f"{name}: sample {index}{file} cannot be read: {type(error).__name__}: {error}"
            ) from error
    try:
        inputs = torch.stack([torch.as_tensor(sample) for sample, _ in pairs])
        labels = torch.tensor([operator.index(label) for _, label in pairs])
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name}: its items cannot be stacked into a batch ({error}). Each must be a pair "
            "(input, label): a tensor or array, all of the same shape, and a whole number. Resize "
            "images to a common size, for example folder:PATH(resize=256, crop=224)."
        ) from error
    if inputs.dtype == torch.uint8:
        inputs = inputs.to(torch.float32) / 255
    return inputs, labels
