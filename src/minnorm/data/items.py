"""Data sets that are read one item at a time, as PyTorch's map-style data sets are."""

import hashlib
import operator
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from minnorm.data.arrays import Array, as_array, checksum, class_numbers
from minnorm.data.dataset import WHITE, Data, evenly_spaced
from minnorm.data.pixels import is_picture, picture_tensor
from minnorm.doubts import Doubt
from minnorm.errors import InputError, one_line

_INPUT_KEYS = ("image", "images", "img", "pixel_values", "input", "inputs")
_LABEL_KEYS = ("label", "labels", "target", "targets")
"""The keys under which a mapping holds inputs and labels."""


class MapDataset(Protocol):
    """A map-style PyTorch data set: a length, and a pair (input, label) at each position."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


def from_map_dataset(
    name: str, dataset: MapDataset, *, pixels: bool = False, remarks: tuple[Doubt, ...] = ()
) -> Data:
    """Make a data set from a map-style PyTorch data set whose items are pairs (input, label).

    An input is a tensor, an array or a picture of Pillow. An item may also be a mapping with one
    key for its input and one for its label, such as `image` and `label`.

    The fingerprint covers the length and 16 evenly spaced samples only: reading all of a large set
    could take longer than the evaluation. Records hold the label of each sample, so that runs on
    other labels are neither compared nor continued.

    Args:
        name: The name of the data set.
        dataset: The map-style data set.
        pixels: Whether floating-point inputs are pixels in 0..255, scaled as 8-bit integers are.
        remarks: What makes results on these data doubtful.

    Raises:
        InputError: If the set is empty or its items are not such pairs.
    """
    count = len(dataset)
    if count == 0:
        raise InputError(f"{name} has no samples.")
    values, labels = _read_items(name, dataset, None, evenly_spaced(count, 16))
    eight_bit = values.dtype == torch.uint8
    pixels = pixels or eight_bit or is_picture(_pair(dataset[0])[0])
    inputs = values / WHITE if pixels else values
    content = f"{count} {checksum(as_array(inputs, name))} {checksum(labels.numpy())}"
    return Data(
        name,
        partial(_read_items, name, dataset, eight_bit),
        range(count),
        hashlib.sha256(content.encode()).hexdigest(),
        _class_names(dataset),
        labels=_known_labels(dataset),
        divisor=WHITE if pixels else None,
        remarks=remarks,
    )


def input_and_label(value: Mapping[Any, Any]) -> tuple[Any, Any] | None:
    """Return the values under the one key of inputs and the one key of labels.

    Args:
        value: A mapping.

    Returns:
        The two values; `None` if there is not exactly one such key of each kind.
    """
    inputs = [key for key in value if str(key) in _INPUT_KEYS]
    labels = [key for key in value if str(key) in _LABEL_KEYS]
    return (value[inputs[0]], value[labels[0]]) if len(inputs) == len(labels) == 1 else None


def _known_labels(dataset: Any) -> Array | None:
    """Return the labels of a data set if they can be had without reading its inputs."""
    if isinstance(dataset, Subset):
        whole = _known_labels(dataset.dataset)
        return None if whole is None else whole[np.asarray(dataset.indices)]
    if isinstance(dataset, TensorDataset):
        labels: Any = dataset.tensors[-1]
    elif isinstance(dataset, list | tuple):
        labels = [pair[1] for pair in map(_pair, dataset)]
    else:
        labels = getattr(dataset, "targets", getattr(dataset, "labels", None))
    try:
        found = class_numbers("", as_array(labels, ""))
    except (InputError, AttributeError):
        return None
    usable = found.shape == (len(dataset),) and np.issubdtype(found.dtype, np.integer)
    return found.astype(np.int64) if usable else None


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Return the names of the classes of a data set, empty if it does not list them."""
    if isinstance(dataset, Subset):
        return _class_names(dataset.dataset)
    names = getattr(dataset, "classes", ())
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()


def _pair(item: Any) -> tuple[Any, Any]:
    """Return the input and the label of an item, or raise `InputError`."""
    if isinstance(item, Mapping):
        found = input_and_label(item)
        if found is not None:
            return found
        raise InputError(
            f"an item has the keys {', '.join(map(str, item))}; expected one for the input, such "
            "as 'image', and one for the label, such as 'label'"
        )
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 2:
        return item[0], item[1]
    size = f" of {len(item)}" if isinstance(item, Sequence) and not isinstance(item, str) else ""
    raise InputError(f"an item is a {type(item).__name__}{size}; expected a pair (input, label)")


def _read_items(
    name: str, dataset: MapDataset, eight_bit: bool | None, indices: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the items at some positions as one batch.

    Args:
        name: The name of the data set.
        dataset: The data set.
        eight_bit: Whether all inputs are 8-bit integers; `None` if it is not known yet.
        indices: The positions.

    Raises:
        InputError: If an item cannot be read, or they do not form a batch.
    """
    inputs, labels = [], []
    for index in indices:
        place = f"{name}: sample {index}{_file_of(dataset, index)}"
        try:
            value, label = _pair(dataset[index])
            inputs.append(_tensor(value))
        except InputError as error:
            raise InputError(f"{place} cannot be used: {error}.") from error
        except Exception as error:  # foreign data sets and decoders raise errors of any kind
            raise InputError(f"{place} cannot be read: {one_line(error)}") from error
        labels.append(_class_number(place, label, inputs[-1]))
    if not inputs:
        empty, _ = _read_items(name, dataset, eight_bit, [0])
        return empty[:0], torch.empty(0, dtype=torch.int64)
    kinds = {values.dtype == torch.uint8 for values in inputs}
    if len(kinds) > 1 or (eight_bit is not None and kinds != {eight_bit}):
        raise InputError(
            f"{name}: some inputs are 8-bit integers and others are not, so their scale is "
            "unclear: convert all to floating point in 0..1, or none."
        )
    try:
        return torch.stack(inputs), torch.tensor(labels)
    except (TypeError, RuntimeError) as error:
        shapes = sorted({str(list(values.shape)) for values in inputs})
        raise InputError(
            f"{name}: its items cannot be stacked into a batch: their inputs have the shapes "
            f"{', '.join(shapes[:4])}{', ...' if len(shapes) > 4 else ''}. Resize images to a "
            "common size, for example folder:PATH(resize=256, crop=224)."
        ) from error


def _file_of(dataset: object, index: int) -> str:
    """Return the file of a sample in parentheses, if the data set lists its files."""
    files = getattr(dataset, "samples", None)
    return f" ({files[index][0]})" if files else ""


def _tensor(value: Any) -> Tensor:
    """Return an input as a tensor, or raise `InputError`."""
    if is_picture(value):
        return picture_tensor(value)
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"its input is a {type(value).__name__}; expected a tensor, an array or an image"
        ) from error
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        raise InputError(
            f"its input is {tensor.dtype}; expected torch.uint8 (0 to 255) or floating point"
        )
    return tensor


def _class_number(place: str, label: Any, value: Tensor) -> int:
    """Return the label of an item as a whole number."""
    try:
        return operator.index(label)
    except TypeError:
        found = as_array(label, f"{place}: the label")
    if found.ndim == 1 and len(found) == len(value) > 1:
        raise InputError(
            f"{place} has an input of shape {list(value.shape)} and {len(found)} labels. For "
            "batches, pass the data set itself (loader.dataset), or join them with torch.cat. For "
            "one-hot labels, pass labels.argmax(-1)."
        )
    return int(class_numbers(place, found[None])[0])
