"""The cache: data sets as memory-mapped arrays, checked by SHA-256 when they are opened.

    <cache>/data/mnist/card.json  test-images.npy  test-labels.npy  train-images.npy ...

No reader finds an incomplete data set: it is written to a temporary folder and renamed at the end.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import platformdirs
from filelock import FileLock

from minnorm.data.dataset import Array, Data, checksum, from_arrays
from minnorm.errors import InputError, MissingFileError
from minnorm.specs import choose


class Checksums(TypedDict):
    """The SHA-256 of the arrays of one split."""

    images: str
    labels: str


class DatasetCard(TypedDict):
    """The content of `card.json`, the description of a cached data set."""

    name: str
    source: str
    classes: list[str]
    splits: dict[str, Checksums]


def cache_folder() -> Path:
    """Return the folder of the cache: `$MINNORM_CACHE`, or the usual one of the platform."""
    chosen = os.environ.get("MINNORM_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("minnorm")


def dataset_folder(name: str) -> Path:
    """Return the folder in which the data set `name` is cached, whether it exists or not."""
    return cache_folder() / "data" / name


def is_cached(name: str) -> bool:
    """Return whether the data set `name` is in the cache."""
    return (dataset_folder(name) / "card.json").exists()


@contextmanager
def appearing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends without an error.

    If the block is interrupted, `target` stays as it was before. Processes that use the same
    `target` wait for each other, and remove what a killed one left behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}-"
    with (
        FileLock(target.parent / f".{target.name}.lock"),
        tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as scratch,
    ):
        for left in target.parent.glob(f"{prefix}*"):
            if left != Path(scratch):
                shutil.rmtree(left)
        made = Path(scratch) / "made"
        made.mkdir()
        yield made
        old = Path(scratch) / "old"
        try:
            if target.exists():
                target.rename(old)
            made.rename(target)
        except BaseException:
            if old.exists() and not target.exists():
                old.rename(target)
            raise


def store(
    name: str, source: str, classes: tuple[str, ...], splits: Mapping[str, tuple[Array, Array]]
) -> Path:
    """Write the splits of a data set to the cache, and return their folder."""
    target = dataset_folder(name)
    with appearing_folder(target) as folder:
        card = DatasetCard(name=name, source=source, classes=list(classes), splits={})
        for split, (images, labels) in splits.items():
            np.save(folder / f"{split}-images.npy", images)
            np.save(folder / f"{split}-labels.npy", labels)
            card["splits"][split] = Checksums(images=checksum(images), labels=checksum(labels))
        (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    return target


def open_split(name: str, split: str) -> Data:
    """Open one split of a cached data set, mapped into memory.

    Raises:
        MissingFileError: If the data set is not in the cache.
        InputError: If the split is unknown, or the content differs from its checksums.
    """
    folder = dataset_folder(name)
    if not is_cached(name):
        raise MissingFileError(
            f"{name} is not in the cache ({folder}). Fetch it with: minnorm data fetch {name}"
        )
    again = f"Fetch it again with: minnorm data fetch {name} --force"
    try:
        card = cast("DatasetCard", json.loads((folder / "card.json").read_text()))
        splits = sorted(card["splits"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the cached {name} in {folder} cannot be read: {error}. {again}"
        ) from error
    choose(split, splits, "split", f"of {name}")
    try:
        images = np.load(folder / f"{split}-images.npy", mmap_mode="r")
        labels = np.load(folder / f"{split}-labels.npy", mmap_mode="r")
        expected = card["splits"][split]
    except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the cached {name} in {folder} cannot be read ({error}). {again}"
        ) from error
    if Checksums(images=checksum(images), labels=checksum(labels)) != expected:
        raise InputError(f"the cached {name} in {folder} differs from its checksums. {again}")
    return from_arrays(f"{name}/{split}", images, labels, classes=tuple(card["classes"]))
