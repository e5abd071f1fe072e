"""PNG files of adversarials: their names, and their pixels."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from minnorm.errors import InputError, MissingLibraryError
from minnorm.evaluation.estimates import Array

_LONGEST_NAME = 30
"""Characters of the name of a class in the name of a file."""


def file_name(row: Mapping[str, Any], prediction: int, classes: Sequence[str]) -> str:
    """Return the name of the file of a record: sample, class, target if there is one, prediction.

    Args:
        row: The record.
        prediction: The predicted class of the image.
        classes: The names of the classes by label, empty if they are unknown.
    """
    parts = [f"{row['index']:06d}", _class_text(row["label"], classes)]
    if row["target"] is not None:
        parts.append(f"to-{row['target']}")
    return "_".join([*parts, _class_text(prediction, classes)]) + ".png"


def _class_text(label: int, classes: Sequence[str]) -> str:
    """Return the label and the name of a class, with letters and digits that any system allows."""
    if label < 0:
        return "nan"
    known = classes[label] if label < len(classes) else ""
    name = re.sub(r"[^A-Za-z0-9]+", "-", known)[:_LONGEST_NAME].strip("-")
    return f"{label}-{name}" if name not in ("", str(label)) else str(label)


def check_images(inputs: Tensor) -> None:
    """Check that inputs are gray or color images.

    Raises:
        InputError: If they are not.
    """
    if inputs.ndim != 4 or inputs.shape[1] not in (1, 3):
        raise InputError(
            f"the samples have the shape {list(inputs.shape[1:])}; PNG files hold images of the "
            "shape [1, height, width] or [3, height, width]. Export them as npz or safetensors."
        )


def write_png(path: Path, image: UInt8[Tensor, "c h w"]) -> None:
    """Write a gray or color image.

    Raises:
        MissingLibraryError: If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingLibraryError("PNG files need Pillow: pip install 'minnorm[vision]'") from error
    array: Array = image.permute(1, 2, 0).numpy()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(path, "PNG")


def read_png(path: Path) -> UInt8[Tensor, "c h w"]:
    """Read an image that `write_png` has written."""
    from PIL import Image

    with Image.open(path) as picture:
        array = np.array(picture)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)
