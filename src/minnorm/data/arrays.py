"""Arrays and labels as users hold them: converted where their meaning is clear, else refused."""

import hashlib
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from minnorm.errors import InputError, one_line

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""A NumPy array of any shape and dtype; memory-mapped if it comes from the cache."""


def checksum(array: Array) -> str:
    """Return the SHA-256 of an array's values in C order, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def as_array(values: Any, name: str) -> Array:
    """Return values as an array in native byte order; bfloat16, which NumPy lacks, is widened.

    Args:
        values: A tensor, an array, nested lists, or a column of a table.
        name: What the values are, for the message.

    Raises:
        InputError: If the values do not form an array, for example images of different sizes.
    """
    try:
        if isinstance(values, list | tuple) and values and isinstance(values[0], Tensor):
            values = torch.stack([torch.as_tensor(value) for value in values])
        if isinstance(values, Tensor):
            wide = values.float() if values.dtype == torch.bfloat16 else values
            return wide.detach().cpu().numpy()
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name} do not form an array: {one_line(error)}. They need one common shape, and "
            "tensors must be dense."
        ) from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_images(name: str, images: Array) -> None:
    """Check the dtype of inputs.

    Raises:
        InputError: If they are neither floating point nor 8-bit integers without a sign.
    """
    if images.dtype == np.uint8 or np.issubdtype(images.dtype, np.floating):
        return
    hint = ""
    kind = "text" if images.dtype.kind in "UST" else str(images.dtype)
    if images.dtype == object:
        hint = " Its elements are Python objects, perhaps images of different sizes."
    elif images.dtype == np.uint16:
        hint = " For 16-bit images pass numpy.asarray(images, 'float32') / 65535."
    elif np.issubdtype(images.dtype, np.integer) and images.size:
        low, high = int(images.min()), int(images.max())
        hint = f" Its values are {low} to {high}."
        if low >= 0 and high <= 255:
            hint = f" Its values are {low} to {high}: pass numpy.asarray(images, 'uint8')."
    elif images.dtype == bool:
        hint = " Pass numpy.asarray(images, 'float32')."
    raise InputError(
        f"{name}: images are {kind}; expected uint8 (0 to 255, scaled to 0 to 1) or "
        f"floating point.{hint}"
    )


def class_numbers(name: str, labels: Array) -> Array:
    """Return labels as integers `[n]`.

    Whole numbers may be written as floating-point values or as text, in one column `[n 1]` or
    one-hot `[n c]`.

    Args:
        name: The name of the data set.
        labels: The labels.

    Raises:
        InputError: If they have no single meaning as classes.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels):
        return _from_one_hot(name, labels)
    if labels.ndim != 1 or len(labels) == 0 or np.issubdtype(labels.dtype, np.integer):
        return labels
    if labels.dtype.kind in "UTO" and all(str(label).strip().isdecimal() for label in labels):
        return np.array([int(str(label)) for label in labels])
    whole = np.issubdtype(labels.dtype, np.floating) and (labels == np.trunc(labels)).all()
    if whole and np.isfinite(labels).all():
        return labels.astype(np.int64)
    text = labels.dtype.kind in "UTO"
    found = f"{'text' if text else labels.dtype}, for example {labels[0]!s:.40}"
    raise InputError(
        f"{name}: labels are {found}; expected whole numbers from 0"
        + (", the positions of the classes in the model's logits." if text else ".")
    )


def _from_one_hot(name: str, labels: Array) -> Array:
    """Return the classes of one-hot labels."""
    numbers = labels.dtype.kind in "biuf"
    if numbers and ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all():
        return np.asarray(labels.argmax(1))
    raise InputError(
        f"{name}: labels have shape {list(labels.shape)} and are not one-hot; expected one whole "
        "number for each sample. For probabilities of classes pass labels.argmax(1)."
    )


def check_pair(name: str, images: Array, labels: Array) -> None:
    """Check that there is one label for each of at least one sample.

    Raises:
        InputError: If the shapes do not fit together.
    """
    if images.ndim < 1 or labels.ndim != 1 or len(images) != len(labels):
        swapped = images.ndim == 1 and labels.ndim > 1 and len(images) == len(labels)
        raise InputError(
            f"{name}: images have shape {list(images.shape)} and labels {list(labels.shape)}; "
            "expected [n, ...] and [n] with the same n."
            + (" Are they in the other order? Pass (inputs, labels)." if swapped else "")
        )
    if len(labels) == 0:
        raise InputError(f"{name} has no samples.")
