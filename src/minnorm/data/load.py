"""From words to data: resolves data specs."""

import importlib.resources
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from minnorm import specs
from minnorm.data.cache import open_split
from minnorm.data.catalogue import CATALOGUE
from minnorm.data.dataset import Array, Data, from_arrays, from_map_dataset

FORMS = (
    "mnist-sample | mnist | mnist/train | cifar10 | cifar10/train | imagenet:FOLDER | "
    "folder:PATH(resize=256, crop=224) | FILE.npz | FILE.safetensors | package.module:factory"
)
"""The forms of a data spec; each may end in a slice such as `[:1000]`."""


def load_data(spec: str) -> Data:
    """Loads labelled data by its spec.

    Args:
        spec: One of `FORMS`, with a slice at the end if only a part is wanted:

            - `mnist-sample`: the first 1,000 MNIST test images, shipped with the package.
            - `mnist`, `cifar10`: the test set from the cache (`minnorm data fetch NAME` brings it
              there); `/train` and `/test` name the split.
            - `folder:PATH`: images in one folder for each class; `resize` scales the shorter side,
              `crop` cuts the centre. `imagenet:PATH` is that with `resize=256, crop=224`.
            - `FILE.npz`, `FILE.safetensors`: arrays `images` and `labels`.
            - `package.module:factory`: a function that gives `Data`, a pair of arrays or tensors
              (inputs, labels), or a map-style PyTorch data set; arguments are passed on to it.

    Returns:
        The data; inputs are floating point, 8-bit values scaled from 0..255 to 0..1.

    Raises:
        ValueError: If the spec is not of such a form, or what it names is not as described.
        FileNotFoundError: If a file or folder is not there.
    """
    parsed = specs.parse(spec)
    data = _resolve(parsed)
    if parsed.part is None:
        return data
    part = data[parsed.part]
    if len(part) == 0:
        raise ValueError(f"{spec!r} is empty: {data.name} has {len(data)} samples.")
    return part


def as_data(value: Any, name: str = "data") -> Data:
    """Makes data from what users hold: a spec, `Data`, a pair (inputs, labels) or a data set.

    Raises:
        ValueError: If it is none of these, or not as `load_data` describes.
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
    raise ValueError(
        f"cannot use {type(value).__name__} as data: give a spec such as 'mnist[:1000]', a pair "
        "(inputs, labels), or a map-style PyTorch data set (of a DataLoader, its .dataset)."
    )


def _is_pair(value: Any) -> bool:
    """Tells a pair (inputs, labels) from a list of two samples, which are pairs themselves."""
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
        made = specs.call_factory(spec, "data")
        return as_data(made, spec.head)
    _no_arguments(spec)
    if spec.head == "mnist-sample":
        return _sample()
    if name in CATALOGUE:
        return open_split(name, split or "test")
    try:
        specs.choose(spec.head, [*CATALOGUE, "mnist-sample"], "data set")
    except ValueError as error:
        raise ValueError(f"{error} Data specs are: {FORMS}.") from None
    raise AssertionError(spec.head)


def _no_arguments(spec: specs.Spec) -> None:
    if spec.arguments:
        raise ValueError(
            f"{spec.head} takes no arguments; {', '.join(spec.arguments)} was given. "
            f"Data specs are: {FORMS}."
        )


def _checked_sizes(sizes: dict[str, Any], scheme: str) -> dict[str, Any]:
    for name, size in sizes.items():
        specs.choose(name, ("crop", "resize"), f"parameter of {scheme}:")
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name}={size!r}: expected a number of pixels, at least 1.")
    return sizes


def _sample() -> Data:
    file = importlib.resources.files("minnorm.data") / "sample" / "mnist-sample.npz"
    with importlib.resources.as_file(file) as path, np.load(path) as arrays:
        return from_arrays(
            "mnist-sample", arrays["images"], arrays["labels"], classes=tuple("0123456789")
        )


def _file(path: Path) -> Data:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    arrays: dict[str, Array | Tensor]
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                arrays = dict(archive)
        else:
            from safetensors.torch import load_file

            arrays = dict(load_file(path))
    except Exception as error:  # both readers raise many kinds for a file that is not theirs
        raise ValueError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from error
    missing = {"images", "labels"} - arrays.keys()
    if missing:
        raise ValueError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; expected arrays named "
            "'images' and 'labels'."
        )
    return from_arrays(path.name, arrays["images"], arrays["labels"])


def _folder(path: str, resize: int | None = None, crop: int | None = None) -> Data:
    folder = specs.path_of(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}.")
    try:
        from torchvision.datasets import ImageFolder
        from torchvision.transforms import v2
    except ImportError as error:
        raise ImportError(
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
        raise ValueError(
            f"{folder} is not a folder of images: expected one folder for each class with images "
            f"in it ({str(error).splitlines()[0]})"
        ) from error
    return from_map_dataset(folder.name, dataset)
