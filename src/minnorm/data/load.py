"""Data specs: from a spec to a labeled data set."""

import importlib.resources
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from minnorm import checks, factories, specs
from minnorm.data.cache import open_split
from minnorm.data.catalogue import CATALOGUE
from minnorm.data.dataset import Array, Data, from_arrays, from_map_dataset
from minnorm.errors import InputError, MissingFileError, MissingLibraryError

DATA_FORMS = (
    "mnist-sample | mnist | mnist/train | cifar10 | cifar10/train | imagenet:FOLDER | "
    "folder:PATH(resize=256, crop=224) | FILE.npz | FILE.safetensors | package.module:factory"
)
"""The forms of a data spec; each may end in a slice such as `[:1000]`."""


def load_data(spec: str) -> Data:
    """Load the labeled data set that a spec names.

    Args:
        spec: One of `DATA_FORMS`, with a slice at the end to select a part:

            - `mnist-sample`: the first 1,000 MNIST test images, shipped with the package.
            - `mnist`, `cifar10`: the test set from the cache (fetch it with `minnorm data fetch
              NAME`); `/train` and `/test` select the split.
            - `folder:PATH`: images in one folder per class; `resize` scales the shorter side,
              `crop` cuts out the center. `imagenet:PATH` has `resize=256, crop=224` by default.
            - `FILE.npz`, `FILE.safetensors`: arrays `images` and `labels`.
            - `package.module:factory`: a function that returns `Data`, a pair of arrays or tensors
              (inputs, labels), or a map-style PyTorch data set; called with the arguments.

    Returns:
        The data set; its inputs are floating point, 8-bit values are scaled from 0..255 to 0..1.

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
    return part


def as_data(value: Any, name: str = "data") -> Data:
    """Make a data set from a spec, `Data`, a pair (inputs, labels) or a PyTorch data set.

    Args:
        value: One of these.
        name: The name of the data set, unless `value` has one.

    Raises:
        InputError: If the value is none of these, or cannot be used, see `load_data`.
    """
    if isinstance(value, Data):
        return value
    if isinstance(value, str):
        return load_data(value)
    if _is_pair(value):
        images, labels = (
            part if isinstance(part, Tensor | np.ndarray) else np.asarray(part) for part in value
        )
        return from_arrays(name, images, labels)
    if isinstance(value, Dataset) or (hasattr(value, "__getitem__") and hasattr(value, "__len__")):
        return from_map_dataset(name, value)
    raise InputError(
        f"cannot use {type(value).__name__} as data: pass a spec such as 'mnist[:1000]', a pair "
        "(inputs, labels), or a map-style PyTorch data set (for a DataLoader, its .dataset)."
    )


def _is_pair(value: Any) -> bool:
    """Return whether this is a pair (inputs, labels), and not a list of two labeled samples."""
    if isinstance(value, tuple):
        return len(value) == 2
    return (
        isinstance(value, list)
        and len(value) == 2
        and not any(isinstance(part, tuple) for part in value)
    )


def _resolve(spec: specs.Spec) -> Data:
    name, _, split = spec.head.partition("/")
    sizes: dict[str, dict[str, Any]] = {"folder": {}, "imagenet": {"resize": 256, "crop": 224}}
    scheme, colon, rest = spec.head.partition(":")
    if scheme in sizes and colon:
        return _folder(rest, **_checked_sizes({**sizes[scheme], **spec.arguments}, scheme))
    if Path(spec.head).suffix in (".npz", ".safetensors"):
        _no_arguments(spec)
        return _file(specs.path_of(spec.head))
    if colon:
        made = factories.call_factory(spec, "data")
        return as_data(made, spec.head)
    _no_arguments(spec)
    if spec.head == "mnist-sample":
        return _sample()
    if name in CATALOGUE:
        return open_split(name, split or "test")
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


def _file(path: Path) -> Data:
    if not path.is_file():
        raise MissingFileError(f"there is no file {path}.")
    arrays: dict[str, Array | Tensor]
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                arrays = dict(archive)
        else:
            from safetensors.torch import load_file

            arrays = dict(load_file(path))
    except Exception as error:  # both readers raise errors of many kinds
        raise InputError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from error
    missing = {"images", "labels"} - arrays.keys()
    if missing:
        raise InputError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; expected arrays named "
            "'images' and 'labels'."
        )
    return from_arrays(path.name, arrays["images"], arrays["labels"])


def _folder(path: str, resize: int | None = None, crop: int | None = None) -> Data:
    folder = specs.path_of(path)
    if not folder.is_dir():
        raise MissingFileError(f"there is no folder {folder}.")
    try:
        from torchvision.datasets import ImageFolder
        from torchvision.transforms import v2
    except ImportError as error:
        raise MissingLibraryError(
            "folders of images need torchvision: pip install 'minnorm[vision]'"
        ) from error
    steps: list[Any] = [v2.PILToTensor()]
    if resize is not None:
        steps.insert(0, v2.Resize(resize))
    if crop is not None:
        steps.append(v2.CenterCrop(crop))
    try:
        dataset = ImageFolder(str(folder), transform=v2.Compose(steps))
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} is not a folder of images: expected one folder per class with images in it "
            f"({str(error).splitlines()[0]})."
        ) from error
    return from_map_dataset(folder.name, dataset)
