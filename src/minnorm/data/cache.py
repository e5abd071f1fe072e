"""The cache: data sets as memory-mapped arrays, checked by SHA-256 when they are opened.

    <cache>/data/mnist/card.json  test-images.npy  test-labels.npy  train-images.npy ...

No reader finds an incomplete data set: it is written to a temporary folder and renamed at the end.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import platformdirs
from filelock import FileLock
from pydantic import BaseModel

from minnorm.data.arrays import Array, checksum
from minnorm.data.dataset import Data, from_arrays
from minnorm.errors import InputError, MissingFileError, one_line
from minnorm.specs import choose


class Checksums(BaseModel, frozen=True):
    """The SHA-256 of the arrays of one split."""

    images: str
    labels: str


class DatasetCard(BaseModel, frozen=True):
    """The content of `card.json`, the description of a cached data set."""

    name: str
    source: str
    classes: tuple[str, ...]
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
    return os.path.lexists(dataset_folder(name) / "card.json")


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
        sums = {}
        for split, (images, labels) in splits.items():
            np.save(folder / f"{split}-images.npy", images)
            np.save(folder / f"{split}-labels.npy", labels)
            sums[split] = Checksums(images=checksum(images), labels=checksum(labels))
        card = DatasetCard(name=name, source=source, classes=classes, splits=sums)
        (folder / "card.json").write_text(card.model_dump_json(indent=2) + "\n")
    return target


def read_card(name: str) -> DatasetCard:
    """Read the card of a cached data set.

    Raises:
        MissingFileError: If the data set is not in the cache.
        InputError: If its folder has no card, or one that cannot be read.
    """
    folder = dataset_folder(name)
    if not os.path.lexists(folder):
        raise MissingFileError(
            f"{name} is not in the cache ({folder}). Fetch it with: minnorm data fetch {name}"
        )
    if not is_cached(name):
        raise damaged(name, "has no card.json")
    try:
        card = DatasetCard.model_validate_json(_regular(folder / "card.json").read_bytes())
    except (OSError, ValueError) as error:
        raise damaged(name, f"has a card.json that cannot be read ({one_line(error)})") from error
    if card.name != name:
        raise damaged(name, f"has the card of {card.name!r}")
    return card


def open_split(name: str, split: str) -> Data:
    """Open one split of a cached data set, mapped into memory.

    Raises:
        MissingFileError: If the data set is not in the cache.
        InputError: If the split is unknown, or the content differs from its checksums.
    """
    card = read_card(name)
    choose(split, card.splits, "split", f"of {name}")
    folder = dataset_folder(name)
    try:
        images = np.load(_regular(folder / f"{split}-images.npy"), mmap_mode="r")
        labels = np.load(_regular(folder / f"{split}-labels.npy"), mmap_mode="r")
    except (OSError, EOFError, SyntaxError, ValueError) as error:
        raise damaged(name, f"has arrays that cannot be read ({one_line(error)})") from error
    if Checksums(images=checksum(images), labels=checksum(labels)) != card.splits[split]:
        raise damaged(name, "differs from its checksums")
    try:
        return from_arrays(f"{name}/{split}", images, labels, classes=card.classes)
    except InputError as error:
        raise damaged(name, f"holds other arrays than labeled images ({error})") from error


def damaged(name: str, problem: str) -> InputError:
    """Return the error for a cached data set that cannot be used, with the command that helps.

    Args:
        name: The name of the data set.
        problem: What is wrong with its folder: a verb and its object.
    """
    return InputError(
        f"the cache folder of {name}, {dataset_folder(name)}, {problem}. Replace it with: minnorm "
        f"data fetch {name} --force"
    )


def _regular(path: Path) -> Path:
    """Return a path, or raise `OSError` if it is no file: a named pipe would be read for ever."""
    if not path.is_file():
        raise OSError(f"{path.name} is no regular file")
    return path
