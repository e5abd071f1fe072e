"""Labeled data sets: samples that are read in batches by their positions."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.box_arguments import sample_bounds, sample_mask
from minnorm.boxes import Bounds, is_interval
from minnorm.data.arrays import (
    Array,
    as_array,
    check_images,
    check_pair,
    checksum,
    class_numbers,
)
from minnorm.data.slices import doubt_about_slice
from minnorm.doubts import Doubt
from minnorm.errors import InputError

logger = logging.getLogger(__name__)

Batch: TypeAlias = tuple[Float[Tensor, "b *d"], Int64[Tensor, "b"]]
"""Inputs and their labels."""

WHITE = 255.0
"""The largest value of an 8-bit pixel."""


@dataclass(frozen=True)
class Data:
    """A labeled data set, or a slice of one.

    Attributes:
        name: The name in tables, for example `mnist/test`.
        read: Returns the values and labels at the given positions of the whole set. 8-bit values
            are scaled afterwards, see `divisor`.
        indices: The positions in the whole set that belong to this slice; records keep them.
        fingerprint: The SHA-256 of the content of the whole set; see `from_arrays` and
            `from_map_dataset`.
        classes: The names of the classes by label, empty if they are unknown.
        labels: The labels of the whole set, `None` if they are unknown before samples are read.
        divisor: What 8-bit values are divided by: 255 for inputs in 0..1, 1 for inputs in 0..255.
            `None` for floating-point values, which stay as they are.
        remarks: What makes results on the whole set doubtful.
        bounds: The bounds of the inputs: two numbers, or tensors that broadcast to a sample; `None`
            if the data set does not say.
        mask: Which features may change; it broadcasts to a sample. `None`: all of them.
    """

    name: str
    read: Callable[[Sequence[int]], tuple[Tensor, Tensor]] = field(repr=False)
    indices: range
    fingerprint: str
    classes: tuple[str, ...] = ()
    labels: Array | None = field(default=None, repr=False, compare=False)
    divisor: float | None = None
    remarks: tuple[Doubt, ...] = ()
    bounds: Bounds | None = field(default=None, repr=False, compare=False)
    mask: Bool[Tensor, "..."] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, part: slice) -> "Data":
        """Return a slice of the data; a warning is logged if it is not a fair sample of them."""
        if not isinstance(part, slice):
            raise InputError(
                f"{self.name}[{part!r}]: expected a slice, for example [:100]. To read samples, "
                "call data.batch([0, 5, 7])."
            )
        sliced = replace(self, indices=self.indices[part])
        for doubt in sliced.doubts:
            if doubt not in self.doubts:
                logger.warning("%s", doubt.text)
        return sliced

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What makes results on these samples doubtful."""
        if self.labels is None:
            return self.remarks
        doubt = doubt_about_slice(self.name, self.labels, self.indices)
        return self.remarks if doubt is None else (*self.remarks, doubt)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The texts of the doubts."""
        return tuple(doubt.text for doubt in self.doubts)

    @property
    def sample_shape(self) -> torch.Size:
        """The shape of one sample; the first one is read."""
        inputs, _ = self.batch([0])
        return inputs.shape[1:]

    def batch(self, positions: Sequence[int]) -> Batch:
        """Return the samples at `positions` of this slice, `0 <= position < len(self)`."""
        values, labels = self.read([self.indices[position] for position in positions])
        if self.divisor is not None:
            values = values.to(torch.float32) / self.divisor
        return values, labels

    def within(self, bounds: Any) -> "Data":
        """Return these samples with 8-bit values on the scale of the bounds of the inputs.

        Args:
            bounds: The lowest and the highest value of an input. 8-bit values are divided by 255
                for bounds (0, 1), and stay as they are for (0, 255).

        Raises:
            InputError: If the values are 8-bit integers and the bounds are any others, also a bound
                for each feature.
        """
        if self.divisor is None:
            return self
        if not is_interval(bounds):
            raise InputError(
                f"{self.name} holds 8-bit values (0 to 255), and it is unclear how to scale them "
                "to bounds of each feature: pass floating-point values, or the bounds (0, 1) and a "
                "mask of the features that may change."
            )
        low, high = (float(bound) for bound in bounds)
        if (low, high) == (0, WHITE):
            return replace(self, divisor=1.0)
        if (low, high) == (0, 1):
            return replace(self, divisor=WHITE)
        raise InputError(
            f"{self.name} holds 8-bit values (0 to 255), and it is unclear how to scale them to "
            f"bounds={(low, high)}: expected (0, 1), which divides them by 255, or (0, 255), which "
            "keeps them. For other bounds pass floating-point values, or scale them in the model "
            "(minnorm.models.Normalized)."
        )


def from_arrays(
    name: str,
    images: Any,
    labels: Any,
    *,
    fingerprint: str | None = None,
    classes: tuple[str, ...] = (),
    bounds: Any = None,
    mask: Any = None,
) -> Data:
    """Make a data set from arrays or tensors, in memory or mapped from a file.

    Args:
        name: The name of the data set.
        images: `[n *d]`; 8-bit integers are scaled from 0..255 to 0..1 (see `Data.within` for other
            bounds), floating-point values stay as they are.
        labels: `[n]`, whole numbers from 0; also as floating-point values, as text, as a column
            `[n 1]`, or one-hot `[n c]`.
        fingerprint: The SHA-256 of both; computed by default.
        classes: The names of the classes.
        bounds: The lowest and the highest value of an input, `(low, high)`: two numbers, or arrays
            that broadcast to a sample. An evaluation uses them, unless it is given others.
        mask: Which features may change: a boolean array that broadcasts to a sample.

    Raises:
        InputError: If the shapes or dtypes differ from those above.
    """
    image_array = as_array(images, f"{name}: the images")
    label_array = as_array(labels, f"{name}: the labels")
    if image_array.ndim == 1 and label_array.ndim > 1:
        check_pair(name, image_array, label_array)
    label_array = class_numbers(name, label_array)
    check_pair(name, image_array, label_array)
    check_images(name, image_array)
    try:
        checked = None if bounds is None else sample_bounds(bounds, image_array.shape[1:])
        free = sample_mask(mask, image_array.shape[1:])
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    if fingerprint is None:
        content = [(a.dtype.str, a.shape, checksum(a)) for a in (image_array, label_array)]
        fingerprint = hashlib.sha256(repr(content).encode()).hexdigest()
    return Data(
        name,
        partial(_read_arrays, image_array, label_array),
        range(len(label_array)),
        fingerprint,
        classes,
        labels=label_array.astype(np.int64, copy=False),
        divisor=WHITE if image_array.dtype == np.uint8 else None,
        bounds=checked,
        mask=free,
    )


def limits_in(source: str, arrays: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the bounds and the mask among named arrays, as `from_arrays` takes them.

    Args:
        source: Where the arrays come from, for the message.
        arrays: Arrays named `low`, `high` and `mask`, all optional, among others.

    Raises:
        InputError: If there is only one of the two bounds.
    """
    if ("low" in arrays) != ("high" in arrays):
        raise InputError(f"{source} holds only one of 'low' and 'high': bounds need both.")
    limits: dict[str, Any] = {}
    if "low" in arrays:
        limits["bounds"] = tuple(as_array(arrays[name], name) for name in ("low", "high"))
    if "mask" in arrays:
        limits["mask"] = arrays["mask"]
    return limits


def evenly_spaced(count: int, most: int) -> list[int]:
    """Return the positions of at most `most` of `count` samples, evenly spaced from the first."""
    few = min(most, count)
    return [count * part // few for part in range(few)]


def drawn(count: int, most: int, seed: int = 0) -> list[int]:
    """Return the positions of at most `most` of `count` samples, drawn at random, in order.

    A part of the data on which something is decided is drawn: the first samples may be of one
    class, and evenly spaced ones may follow a pattern of the data.

    Args:
        count: The number of samples.
        most: The size of the sample; all positions are returned if there are no more than that.
        seed: The same seed draws the same positions, on every platform.
    """
    if most >= count:
        return list(range(count))
    # NumPy keeps the numbers of this generator the same in all its versions.
    frozen = np.random.RandomState(seed)
    return sorted(frozen.permutation(count)[:most].tolist())


def _read_arrays(images: Array, labels: Array, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    values = torch.from_numpy(np.array(images[indices]))
    return values, torch.from_numpy(np.array(labels[indices], dtype=np.int64))
