"""Data specs: from a spec to a labeled data set."""

import importlib.resources
import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from minnorm import checks, factories, specs
from minnorm.data.arrays import Array
from minnorm.data.catalogue import CATALOGUE, open_cached
from minnorm.data.conversion import from_value
from minnorm.data.dataset import Data, from_arrays, limits_in
from minnorm.data.folder import load_folder
from minnorm.errors import InputError, MissingFileError, one_line

logger = logging.getLogger(__name__)

DATA_FORMS = (
    "mnist-sample | mnist | mnist/train | cifar10 | cifar10/train | imagenet:FOLDER | "
    "folder:PATH(resize=256, crop=224) | FILE.npz | FILE.safetensors | package.module:factory"
)
"""The forms of a data spec; each may end in a slice such as `[:1000]`."""

_MODEL_SCHEMES = ("zoo", "torchvision", "timm", "hf", "robustbench")
"""The words before the colon that name models."""

_OTHER_FORMATS = (
    *(".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow", ".npy", ".h5", ".hdf5", ".mat"),
    *(".pt", ".pth", ".pkl", ".pickle", ".joblib", ".zip", ".tar", ".gz", ".tgz"),
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pt2", ".onnx"),
)
"""The endings of files that users may name as data, but that cannot be read as such."""

_NEEDED = ("images", "labels")
_OPTIONAL = ("low", "high", "mask")
"""The arrays of a file: those that it must hold, and the bounds and the mask of the inputs."""


def load_data(spec: str) -> Data:
    """Load the labeled data set that a spec names.

    Args:
        spec: One of `DATA_FORMS`, with a slice at the end to select a part:

            - `mnist-sample`: the first 1,000 MNIST test images, shipped with the package.
            - `mnist`, `cifar10`: the test set from the cache (fetch it with `minnorm data fetch
              NAME`); `/train` and `/test` select the split.
            - `folder:PATH`: images in one folder per class; `resize` scales the shorter side,
              `crop` cuts out the center. `imagenet:PATH` has `resize=256, crop=224` by default.
              Labels are the positions of the class folders in alphabetical order. Images become
              RGB; those of 16 or 32 bits are scaled by their bit depth, floating-point ones must be
              in 0..1, and transparency is ignored.
            - `FILE.npz`, `FILE.safetensors`: arrays `images` and `labels`. Arrays `low` and `high`
              are bounds of the inputs, and a boolean `mask` says which features may change; see
              `from_arrays`.
            - `package.module:factory`: a function that returns data, see `as_data`; called with the
              arguments.

    Returns:
        The data set; its inputs are floating point, 8-bit values are scaled from 0..255 to 0..1,
        unless `Data.within` sets other bounds. `Data.classes` has the names of the classes by
        label, where they are known. A warning is logged for a slice of data that are sorted by
        class.

    Raises:
        InputError: If the spec has none of these forms, or what it names cannot be used.
        MissingFileError: If a file or folder does not exist, or a data set is not in the cache.
        MissingLibraryError: If a library is needed that is not installed.
    """
    parsed = specs.parse(spec)
    data = _resolve(parsed)
    if parsed.part is None:
        return data
    part = data[parsed.part]
    if len(part) == 0:
        raise InputError(f"{spec!r} is empty: {data.name} has {len(data)} samples.")
    if parsed.part.stop is not None and parsed.part.stop > len(data):
        logger.warning("%r: %s has only %d samples.", spec, data.name, len(data))
    return part


def as_data(value: Any, name: str = "data") -> Data:
    """Make a data set from what a user passes.

    Args:
        value: One of these:

            - a data spec, or the path of a file;
            - `Data`;
            - a pair (inputs, labels), or a mapping with the keys `images` and `labels`, of tensors,
              arrays or lists; a mapping may have `low`, `high` and `mask` too;
            - a map-style PyTorch data set, see `from_map_dataset`; or a `DataLoader` that only
              batches and shuffles one.
        name: The name of the data set, unless `value` has one.

    Raises:
        InputError: If the value is none of these, has no samples, or cannot be used.
    """
    if isinstance(value, os.PathLike):
        value = str(value)
    if isinstance(value, str):
        return load_data(value)
    data = value if isinstance(value, Data) else from_value(value, name)
    if len(data) == 0:
        raise InputError(f"this slice of {data.name} has no samples.")
    return data


def _resolve(spec: specs.Spec) -> Data:
    name, _, split = spec.head.partition("/")
    sizes: dict[str, dict[str, Any]] = {"folder": {}, "imagenet": {"resize": 256, "crop": 224}}
    scheme, colon, rest = spec.head.partition(":")
    if scheme in sizes and colon:
        if not rest:
            raise InputError(f"{spec.head!r} has no path: write {scheme}:PATH.")
        chosen = _checked_sizes({**sizes[scheme], **spec.arguments}, scheme)
        classes = 1000 if scheme == "imagenet" else None
        return load_folder(specs.path_of(rest), chosen.get("resize"), chosen.get("crop"), classes)
    if Path(spec.head).suffix.lower() in (".npz", ".safetensors"):
        _no_arguments(spec)
        return _file(specs.path_of(spec.head))
    if colon and scheme in _MODEL_SCHEMES:
        raise InputError(
            f"{spec.head!r} is a model spec; expected data, which come after the model. "
            f"Forms of a data spec: {DATA_FORMS}."
        )
    if colon:
        made = factories.call_factory(spec, "data")
        return as_data(made, spec.head)
    _no_arguments(spec)
    if spec.head == "mnist-sample":
        return _sample()
    if name in CATALOGUE:
        return open_cached(name, split or "test")
    _check_not_a_file(spec.head)
    try:
        specs.choose(spec.head, [*CATALOGUE, "mnist-sample"], "data set")
    except InputError as error:
        raise InputError(f"{error} Forms of a data spec: {DATA_FORMS}.") from None
    raise AssertionError(spec.head)


def _no_arguments(spec: specs.Spec) -> None:
    if spec.arguments:
        raise InputError(
            f"{spec.head} takes no arguments: remove {', '.join(spec.arguments)}. "
            f"Forms of a data spec: {DATA_FORMS}."
        )


def _checked_sizes(sizes: dict[str, Any], scheme: str) -> dict[str, Any]:
    for name, size in sizes.items():
        specs.choose(name, ("crop", "resize"), "parameter", f"of {scheme}:")
        checks.check_count(name, size)
    return sizes


def _sample() -> Data:
    file = importlib.resources.files("minnorm.data") / "sample" / "mnist-sample.npz"
    with importlib.resources.as_file(file) as path, np.load(path) as arrays:
        return from_arrays(
            "mnist-sample", arrays["images"], arrays["labels"], classes=tuple("0123456789")
        )


def _check_not_a_file(head: str) -> None:
    """Refuse a file of another format, and a folder without `folder:`, with what to write."""
    path = specs.path_of(head)
    if path.is_dir():
        raise InputError(
            f"{head} is a folder: write folder:{head} if it has one folder of images per class."
        )
    if path.is_file() or path.suffix.lower() in _OTHER_FORMATS:
        raise InputError(
            f"{head}: {path.suffix or 'such'} files cannot be read as data; expected FILE.npz or "
            "FILE.safetensors with arrays named images and labels. Write one with "
            "numpy.savez('FILE.npz', images=images, labels=labels), or load the data in a function "
            "of yours, package.module:factory."
        )


def _file(path: Path) -> Data:
    if not path.is_file():
        kind = "is no regular file" if path.exists() else "does not exist"
        raise MissingFileError(f"there is no file {path}: it {kind}.")
    arrays: dict[str, Array | Tensor]
    try:
        arrays = _npz(path) if path.suffix.lower() == ".npz" else _safetensors(path)
    except InputError:
        raise
    except Exception as error:  # both readers raise errors of many kinds
        raise InputError(
            f"{path} cannot be read as {path.suffix[1:]}: {one_line(error)}"
        ) from error
    limits = limits_in(str(path), arrays)
    return from_arrays(path.name, arrays["images"], arrays["labels"], **limits)


def _npz(path: Path) -> dict[str, Array | Tensor]:
    arrays: dict[str, Array | Tensor] = {}
    with np.load(path, allow_pickle=False) as archive:
        _check_names(path, archive.files)
        for name in (*_NEEDED, *(one for one in _OPTIONAL if one in archive.files)):
            try:
                arrays[name] = archive[name]
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                raise InputError(
                    f"{path} cannot be read as npz: its array {name!r} holds Python objects, which "
                    "are pickled and could run code. Save arrays of numbers, for example "
                    "numpy.stack(images)."
                ) from error
    return arrays


def _safetensors(path: Path) -> dict[str, Array | Tensor]:
    from safetensors.torch import load_file

    tensors = load_file(path)
    _check_names(path, tensors)
    return {name: tensors[name] for name in (*_NEEDED, *_OPTIONAL) if name in tensors}


def _check_names(path: Path, names: Collection[str]) -> None:
    if not set(_NEEDED) <= set(names):
        raise InputError(
            f"{path} holds {', '.join(sorted(names)) or 'nothing'}; expected arrays named "
            "'images' and 'labels': rename them, for example with "
            "numpy.savez('FILE.npz', images=..., labels=...)."
        )
