"""Folders of images, with one folder per class: which files are samples, and how they are read."""

import difflib
import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.data.dataset import Data
from minnorm.data.items import from_map_dataset
from minnorm.data.listing import ENDINGS, list_images
from minnorm.data.pixels import shown
from minnorm.doubts import Doubt
from minnorm.errors import InputError, MissingFileError, MissingLibraryError

logger = logging.getLogger(__name__)

_SHOWN_CLASSES = 10

_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "dev"}
"""Names of folders that hold the parts of a data set, in lower case."""


@dataclass(frozen=True)
class ImageFiles:
    """A map-style data set of image files.

    Attributes:
        classes: The names of the classes by label.
        samples: The path and the label of each image, class by class.
        resize: Scales a picture.
        crop: Cuts out a part of its pixels.
    """

    classes: tuple[str, ...]
    samples: list[tuple[Path, int]]
    resize: Callable[[Any], Any]
    crop: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def targets(self) -> list[int]:
        """The labels of all images."""
        return [label for _, label in self.samples]

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 h w"], int]:
        """Return the pixels of an image in 0..255, and its label."""
        from PIL import Image

        path, label = self.samples[index]
        with Image.open(path) as picture:
            pixels = np.array(self.resize(shown(picture, color=True)), np.float32)
        channels = torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
        return self.crop(channels.expand(3, -1, -1)).contiguous(), label


def load_folder(folder: Path, resize: int | None, crop: int | None, classes: int | None) -> Data:
    """Load a folder of images with one folder per class, in the order of their names.

    The labels are the positions of the class folders in alphabetical order. Hidden files and
    folders, files with other endings than `ENDINGS`, and what is no regular file are left out; a
    log message says how many. Each real file is read once, whatever links lead to it.

    Args:
        folder: The folder.
        resize: The length to which the shorter side of each image is scaled.
        crop: The side of the square that is cut out of the center.
        classes: The number of classes that the labels should have; `None` for any.

    Raises:
        MissingFileError: If there is no such folder.
        MissingLibraryError: If torchvision is not installed.
        InputError: If it is not such a folder, a class has no images, or an image cannot be read.
    """
    if not folder.is_dir():
        raise MissingFileError(f"there is no folder {folder}{_about_missing(folder)}")
    try:
        from torchvision.transforms import v2
    except ImportError as error:
        raise MissingLibraryError(
            "folders of images need torchvision: pip install 'minnorm[vision]'"
        ) from error
    files, skipped = list_images(folder)
    _check_classes(folder, files, skipped)
    names = tuple(os.fsencode(name).decode(errors="replace") for name in files)
    samples = [(path, label) for label, paths in enumerate(files.values()) for path in paths]
    name = folder.resolve().name
    if skipped:
        logger.warning("%s: left out %s.", name, _counts(skipped))
    logger.info("%s: %d images in %d classes: %s", name, len(samples), len(names), _legend(names))
    remarks = _remarks(name, names, classes)
    for remark in remarks:
        logger.warning("%s", remark.text)
    steps = (
        v2.Identity() if resize is None else v2.Resize(resize),
        v2.Identity() if crop is None else v2.CenterCrop(crop),
    )
    dataset = ImageFiles(names, samples, *steps)
    return from_map_dataset(name, dataset, pixels=True, remarks=remarks)


def _about_missing(folder: Path) -> str:
    """Return why a folder is none, and the name of the most similar one beside it."""
    if folder.exists():
        return ": it is a file, not a folder."
    around = folder.parent
    names = [entry.name for entry in around.iterdir() if entry.is_dir()] if around.is_dir() else []
    close = difflib.get_close_matches(folder.name, names, n=1, cutoff=0.7)
    return f". Did you mean 'folder:{around / close[0]}'?" if close else "."


def _legend(classes: tuple[str, ...]) -> str:
    """Return the labels and names of classes in one line, at most the first ten."""
    shown_classes = [f"{label} = {name}" for label, name in enumerate(classes[:_SHOWN_CLASSES])]
    return ", ".join([*shown_classes, *(["..."] if len(classes) > _SHOWN_CLASSES else [])])


def _check_classes(folder: Path, files: dict[str, list[Path]], skipped: Counter[str]) -> None:
    left_out = f" Left out: {_counts(skipped)}." if skipped else ""
    if not files:
        raise InputError(
            f"{folder} is not a folder of images: expected one folder per class with images in it."
            f"{left_out}"
        )
    empty = [name for name, paths in files.items() if not paths]
    if empty:
        raise InputError(
            f"{folder} is not a folder of images: expected images ({' '.join(ENDINGS)}) in the "
            f"folder of each class, but found none in {', '.join(empty[:5])}"
            f"{', ...' if len(empty) > 5 else ''}. Remove folders that are not classes: "
            f"each has a label.{left_out}"
        )


def _counts(skipped: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))


def _remarks(name: str, classes: tuple[str, ...], expected: int | None) -> tuple[Doubt, ...]:
    """Return why the labels may not be those of a model."""
    remarks = []
    if expected is not None and len(classes) != expected:
        remarks.append(
            f"{name} has {len(classes)} folders of classes, ImageNet {expected}: the labels are "
            f"0 to {len(classes) - 1} in the order of the folders, not those of ImageNet."
        )
    if {name.lower() for name in classes} <= _SPLITS:
        remarks.append(
            f"the folders of {name} are named {', '.join(classes)}, like splits of a data set, and "
            "each is taken for a class. If the folders of the classes are inside them, write the "
            f"path of one split, for example folder:.../{name}/{classes[-1]}."
        )
    numbers = [int(name) for name in classes if name.isdecimal()]
    if len(numbers) == len(classes) and numbers != list(range(len(classes))):
        wrong = next(label for label, number in enumerate(numbers) if label != number)
        remarks.append(
            f"the folders of {name} are numbered, but their labels follow the alphabet: folder "
            f"{classes[wrong]} has label {wrong}. Write numbers with leading zeros from 0 to keep "
            "them as labels."
        )
    return tuple(Doubt("data", remark) for remark in remarks)
