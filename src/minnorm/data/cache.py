"""The user's cache: each data set as memory-mapped arrays, checked by SHA-256 when it is opened.

    <cache>/data/mnist/card.json  test-images.npy  test-labels.npy  train-images.npy ...

A data set appears there whole or not at all: it is made in a folder beside it and then renamed.
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


class Checksums(TypedDict):
    """SHA-256 of the arrays of one split."""

    images: str
    labels: str


class Card(TypedDict):
    """What `card.json` says of a cached data set."""

    name: str
    source: str
    classes: list[str]
    splits: dict[str, Checksums]


def cache_folder() -> Path:
    """Gives the folder for downloaded data: `$MINNORM_CACHE`, or the platform's usual place."""
    chosen = os.environ.get("MINNORM_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("minnorm")


def dataset_folder(name: str) -> Path:
    """Gives the folder in which the data set `name` is cached, whether it is there or not."""
    return cache_folder() / "data" / name


@contextmanager
def appearing_folder(target: Path) -> Iterator[Path]:
    """Gives an empty folder that becomes `target` when the block ends without an error.

    An interrupted block leaves nothing at `target`, and what was there before stays. What a killed
    process has left is removed by the next one; several wait for each other.
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
    """Writes the splits of a data set to the cache and gives their folder."""
    target = dataset_folder(name)
    with appearing_folder(target) as folder:
        card = Card(name=name, source=source, classes=list(classes), splits={})
        for split, (images, labels) in splits.items():
            np.save(folder / f"{split}-images.npy", images)
            np.save(folder / f"{split}-labels.npy", labels)
            card["splits"][split] = Checksums(images=checksum(images), labels=checksum(labels))
        (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    return target


def open_split(name: str, split: str) -> Data:
    """Opens one split of a cached data set, mapped into memory.

    Raises:
        ValueError: If it is not in the cache, has no such split, or differs from its checksums.
    """
    folder = dataset_folder(name)
    if not (folder / "card.json").exists():
        raise ValueError(
            f"{name} is not in the cache ({folder}). Fetch it with: minnorm data fetch {name}"
        )
    again = f"Fetch it again with: minnorm data fetch {name} --force"
    try:
        card = cast("Card", json.loads((folder / "card.json").read_text()))
        splits = sorted(card["splits"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the cached {name} in {folder} cannot be read: {error}. {again}"
        ) from error
    if split not in splits:
        raise ValueError(f"{name} has no split {split!r}. There is: {', '.join(splits)}.")
    try:
        images = np.load(folder / f"{split}-images.npy", mmap_mode="r")
        labels = np.load(folder / f"{split}-labels.npy", mmap_mode="r")
        expected = card["splits"][split]
    except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the cached {name} in {folder} cannot be read ({error}). {again}"
        ) from error
    if Checksums(images=checksum(images), labels=checksum(labels)) != expected:
        raise ValueError(f"the cached {name} in {folder} differs from its checksums. {again}")
    return from_arrays(f"{name}/{split}", images, labels, classes=tuple(card["classes"]))
