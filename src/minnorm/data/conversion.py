"""Data as users hold them in Python: pairs of arrays, mappings, data sets, loaders."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from minnorm.data.arrays import as_array, check_pair, class_numbers
from minnorm.data.dataset import Data, from_arrays, limits_in
from minnorm.data.items import from_map_dataset, input_and_label
from minnorm.data.pixels import is_picture
from minnorm.errors import InputError

_EXPECTED = (
    "pass a spec such as 'mnist[:1000]', a pair (inputs, labels), or a map-style PyTorch data set"
)


def from_value(value: Any, name: str) -> Data:
    """Make a data set from a pair (inputs, labels), a mapping, a data set, or its loader.

    Args:
        value: The value.
        name: The name of the data set.

    Raises:
        InputError: If the value is none of these, or cannot be used.
    """
    if isinstance(value, DataLoader):
        value = _data_set_of(value)
    if isinstance(value, Mapping):
        return from_arrays(name, *_inputs_and_labels(value), **limits_in(name, value))
    kind = type(value).__name__
    if _is_pair(value):
        inputs, labels = value
        if isinstance(inputs, list | tuple) and inputs and is_picture(inputs[0]):
            numbers = class_numbers(name, as_array(labels, f"{name}: the labels"))
            check_pair(name, np.empty(len(inputs)), numbers)
            return from_map_dataset(name, list(zip(inputs, numbers.tolist(), strict=True)))
        return from_arrays(name, inputs, labels)
    if isinstance(value, tuple) and any(isinstance(part, Tensor | np.ndarray) for part in value):
        raise InputError(
            f"cannot use a tuple of {len(value)} as data; expected a pair (inputs, labels)."
        )
    if isinstance(value, Tensor | np.ndarray):
        raise InputError(f"cannot use one {kind} as data: its labels are missing; {_EXPECTED}.")
    if hasattr(value, "columns"):
        raise InputError(
            f"cannot use {kind} as data: it is a table. Pass a pair of arrays, for example "
            "(table[columns].to_numpy(), table['label'].to_numpy())."
        )
    sized = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    if isinstance(value, IterableDataset) or (not sized and hasattr(value, "__iter__")):
        raise InputError(
            f"cannot use {kind} as data: it is read in order, but samples are read by position, "
            "several times. Pass list(data) if its items are pairs (input, label)."
        )
    if isinstance(value, Dataset) and not sized:
        raise InputError(f"cannot use {kind} as data: it has no length. Give it a __len__ method.")
    if not sized or isinstance(value, bytes):
        raise InputError(f"cannot use {kind} as data: {_EXPECTED}.")
    return from_map_dataset(name, value)


def _data_set_of(loader: DataLoader[Any]) -> Any:
    """Return the data set of a loader that only batches and shuffles it."""
    in_order = isinstance(loader.dataset, IterableDataset)
    batches = loader.batch_sampler
    reasons = {
        "it is read in order": in_order,
        "it has a collate_fn": loader.collate_fn is not default_collate,
        "it has a sampler": not in_order
        and not (type(batches) is BatchSampler and _takes_all(loader.sampler, loader.dataset)),
    }
    found = [reason for reason, applies in reasons.items() if applies]
    if not found:
        return loader.dataset
    raise InputError(
        f"cannot use this DataLoader as data: {' and '.join(found)}, so its samples may be others "
        "than those of its data set. Pass the data set (loader.dataset), or a pair (inputs, "
        "labels) of its batches joined with torch.cat."
    )


def _takes_all(sampler: Any, dataset: Any) -> bool:
    """Return whether a sampler takes each sample of a data set once."""
    if type(sampler) is SequentialSampler:
        return len(sampler) == len(dataset)
    return (
        type(sampler) is RandomSampler
        and not sampler.replacement
        and len(sampler) == len(sampler.data_source) == len(dataset)
    )


def _inputs_and_labels(value: Mapping[Any, Any]) -> tuple[Any, Any]:
    """Return the inputs and the labels in a mapping, or raise `InputError`."""
    found = input_and_label(value)
    if found is not None:
        return found
    keys = ", ".join(repr(key) for key in list(value)[:10]) or "no keys"
    raise InputError(
        f"cannot use {type(value).__name__} as data: it has the keys {keys}; expected 'images' and "
        "'labels'. Pass one of its values if they are data sets, for example data['test'], or a "
        "pair (inputs, labels)."
    )


def _is_pair(value: Any) -> bool:
    """Return whether this is a pair (inputs, labels), and not a list of two labeled samples."""
    if isinstance(value, tuple):
        return len(value) == 2
    return isinstance(value, list) and len(value) == 2 and not any(map(_is_item, value))


def _is_item(part: Any) -> bool:
    """Return whether a part of a list is an item (input, label), or a batch of them."""
    batch = isinstance(part, list) and len(part) == 2 and isinstance(part[0], Tensor | np.ndarray)
    return isinstance(part, tuple | Mapping) or batch
