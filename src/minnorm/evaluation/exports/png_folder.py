"""A folder of adversarials as PNG files, each verified by the model after it was written.

    index.csv                     a line for each record, also for those without a file
    000012_7-cat_3-dog.png        sample 12 of class 7, which the model takes for class 3

The numbers of the classes are labels; their names are left out where they are unknown.
"""

import csv
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from minnorm.boxes import Interval, is_finite
from minnorm.errors import InputError
from minnorm.evaluation.exports.eight_bit import Verifier, from_pixels, stay_adversarial, to_pixels
from minnorm.evaluation.exports.png_files import check_images, file_name, read_png, write_png
from minnorm.evaluation.records import Records
from minnorm.evaluation.selection import values_of
from minnorm.evaluation.store.adversarials import Adversarials, batches_of, read_adversarials
from minnorm.evaluation.store.manifest import Manifest
from minnorm.geometry import Norm, distances

INDEX = "index.csv"
"""The name of the table of all records."""

Status = Literal["verified", "moved", "lost", "unverified", "none"]
"""What became of a record: the PNG file is adversarial; it is, but was rounded away from the input
to be so; no image of 8 bits was found that is adversarial; no model has verified the file; the
attack found no adversarial. Records that are `lost` or `none` have no file."""


@dataclass(frozen=True)
class Picture:
    """A line of the table.

    Attributes:
        file: The name of the PNG file, empty if there is none.
        index: The position of the sample in the whole data set.
        label: Its true class.
        target: The target class, `None` if untargeted.
        clean_prediction: The predicted class of the input.
        prediction: That of the PNG file; of the adversarial before rounding if no model was there.
        status: What became of the record.
        l2: The distance of the PNG file from the input; infinite without a file.
        linf: The same in Linf.
        l2_before: The distance of the adversarial before rounding.
        linf_before: The same in Linf.
    """

    file: str
    index: int
    label: int
    target: int | None
    clean_prediction: int
    prediction: int
    status: Status
    l2: float
    linf: float
    l2_before: float
    linf_before: float


class _Image(NamedTuple):
    """A PNG file that was written under a preliminary name."""

    path: Path
    status: Status
    prediction: int | None
    l2: float
    linf: float


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Check that a folder of PNG files can be written.

    Raises:
        InputError: If the folder around it does not exist, or it exists and may not be replaced.
    """
    if not folder.parent.is_dir():
        raise InputError(f"cannot write {folder}: the folder {folder.parent} does not exist.")
    if not os.path.lexists(folder):
        return
    if not overwrite:
        raise InputError(
            f"{folder} exists already: name another folder with --out, or replace it with --force "
            "in the shell, overwrite=True in Python."
        )
    if folder.is_symlink() or not folder.is_dir() or not _is_export(folder):
        raise InputError(
            f"{folder} is no folder of exported adversarials, so it is not replaced: it holds "
            f"other files than PNG files and their {INDEX}. Name another one."
        )


def write_folder(
    folder: Path,
    records: Records,
    manifest: Manifest,
    directory: Path,
    *,
    verifier: Verifier | None,
    norm: Norm,
) -> list[Picture]:
    """Write adversarials as PNG files, and a table of them.

    Args:
        folder: The folder, see `check_folder`; an earlier one is replaced when all is written.
        records: The records of the adversarials, a single one for each sample and target.
        manifest: The manifest of their run.
        directory: The directory of their run.
        verifier: The model of the run; `None` to verify nothing.
        norm: The norm in which an adversarial is kept as close as possible.

    Returns:
        The lines of the table.

    Raises:
        InputError: If the samples are no images, their features have bounds of their own, a bound
            is infinite, or the run has not kept what is needed.
        MissingLibraryError: If Pillow is not installed.
    """
    restrictions = manifest.configuration.restrictions
    if restrictions is not None and restrictions.bounds is not None:
        raise InputError(
            "the features of this run have bounds of their own, so its samples have no common "
            "scale of pixels: export the adversarials as FILE.npz."
        )
    if not is_finite(manifest.configuration.bounds):
        raise InputError(
            f"the bounds of this run, {list(manifest.configuration.bounds)}, are infinite, so its "
            "samples have no scale of pixels: export the adversarials as FILE.npz."
        )
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    scratch.mkdir()
    try:
        lines = [
            line
            for part in _parts(records, manifest, directory)
            for line in _write_part(scratch, part, manifest, verifier, norm)
        ]
        _write_table(scratch / INDEX, lines)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return lines


def _parts(records: Records, manifest: Manifest, directory: Path) -> Iterator[Adversarials]:
    """Read adversarials batch by batch of the run, so that each file is read once."""
    batches, _ = batches_of(records, manifest.configuration)
    size = manifest.configuration.batch_size
    ends = np.flatnonzero(np.diff(batches, append=-1)) + 1
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        whole = read_adversarials(records[start:end], manifest, directory)
        for first in range(0, len(whole), size):  # a batch of several targets is a large one
            yield whole.take(np.arange(first, min(first + size, len(whole))))


def _write_part(
    folder: Path, found: Adversarials, manifest: Manifest, verifier: Verifier | None, norm: Norm
) -> list[Picture]:
    """Write the PNG files of some adversarials, and return the lines of their records."""
    check_images(found.inputs)
    hits = np.flatnonzero(values_of(found.records, "success"))
    bounds = manifest.configuration.bounds
    images = iter(_write_images(folder, found.take(hits), verifier, bounds, norm))
    return [
        _named(row, next(images) if row["success"] else None, manifest.classes)
        for row in found.records.to_pylist()
    ]


def _write_images(
    folder: Path, found: Adversarials, verifier: Verifier | None, bounds: Interval, norm: Norm
) -> list[_Image]:
    """Write adversarials as PNG files, read them again, and say what each of them is."""
    if len(found) == 0:
        return []
    goals = torch.tensor(
        found.records.column("target" if verifier and verifier.targeted else "label").to_pylist()
    )
    if verifier is None:
        pixels, nearest = to_pixels(found.adversarials, bounds), None
    else:
        pixels, nearest = stay_adversarial(verifier, found.inputs, found.adversarials, goals, norm)
    paths = [folder / f"{number}.png" for number in range(len(found))]
    for path, image in zip(paths, pixels, strict=True):
        write_png(path, image)
    written = torch.stack([read_png(path) for path in paths])
    values, origins = from_pixels(written, bounds).double(), found.inputs.double()
    l2, linf = (
        distances(values, origins, "l2").tolist(),
        distances(values, origins, "linf").tolist(),
    )
    if verifier is None or nearest is None:
        return [
            _Image(path, "unverified", None, *lengths)
            for path, *lengths in zip(paths, l2, linf, strict=True)
        ]
    answers = verifier.ask(written, goals)
    statuses: list[Status] = [
        ("verified" if is_nearest else "moved") if is_adversarial else "lost"
        for is_nearest, is_adversarial in zip(nearest, answers.adversarial, strict=True)
    ]
    return list(map(_Image, paths, statuses, answers.classes.tolist(), l2, linf))


def _named(row: dict[str, Any], image: _Image | None, classes: Sequence[str]) -> Picture:
    """Give the file of a record its name, or remove it if it is not adversarial."""
    prediction = row["adversarial_prediction"]
    if image is not None and image.prediction is not None:
        prediction = image.prediction
    name, l2, linf = "", math.inf, math.inf
    if image is not None and image.status == "lost":
        image.path.unlink()
    elif image is not None:
        name, l2, linf = file_name(row, prediction, classes), image.l2, image.linf
        image.path.rename(image.path.with_name(name))
    return Picture(
        file=name,
        index=row["index"],
        label=row["label"],
        target=row["target"],
        clean_prediction=row["clean_prediction"],
        prediction=prediction,
        status="none" if image is None else image.status,
        l2=l2,
        linf=linf,
        l2_before=row["l2"],
        linf_before=row["linf"],
    )


def _write_table(path: Path, lines: Sequence[Picture]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Picture.__dataclass_fields__)
        writer.writerows(vars(line).values() for line in lines)


def _is_export(folder: Path) -> bool:
    """Return whether a folder holds an export and nothing else, or nothing at all."""
    entries = list(folder.iterdir())
    files = all(entry.is_file() and entry.suffix in (".png", ".csv") for entry in entries)
    return files and (not entries or _is_table(folder / INDEX))


def _is_table(path: Path) -> bool:
    """Return whether a file is the table of an export, and not another one of that name."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().rstrip("\n").split(",") == list(Picture.__dataclass_fields__)
