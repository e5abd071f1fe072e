"""A gallery: originals, adversarials and perturbations as images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from minnorm.boxes import Interval, is_finite
from minnorm.errors import InputError, MissingLibraryError
from minnorm.evaluation import Records, of_attack
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import is_correct
from minnorm.evaluation.selection import closest_as_found, keys_of, values_of
from minnorm.evaluation.store.adversarials import read_adversarials
from minnorm.geometry import Norm
from minnorm.report.facts.pictures import (
    is_picture,
    magnification_of,
    perturbation_picture,
    picture,
)
from minnorm.report.parts import closest_part, main_norm
from minnorm.report.runs import LabeledRun

_MOST_ENTRIES = 5 * 2**20
"""The most entries of all images together: about 4 MB of photos, so that a page can be sent."""

_FEWEST = 3
"""The number of adversarials that are shown however large they are."""

_NO_BOUNDS = "The bounds are infinite: black and white are the lowest and highest value shown."


@dataclass(frozen=True)
class GalleryItem:
    """An adversarial as images.

    Attributes:
        index: The position of the sample in the whole data set.
        label: Its true class.
        clean_prediction: The predicted class of the original.
        adversarial_prediction: The predicted class of the adversarial.
        target: The target class, `None` if the attack was untargeted.
        attack: The attack that found it.
        distance: The distance between the two.
        magnification: The factor of the perturbation in its image.
        original: The original as a PNG file.
        adversarial: The adversarial as a PNG file.
        perturbation: The magnified perturbation as a PNG file; gray is 0.
    """

    index: int
    label: int
    clean_prediction: int
    adversarial_prediction: int
    target: int | None
    attack: str
    distance: float
    magnification: float
    original: bytes
    adversarial: bytes
    perturbation: bytes


@dataclass(frozen=True)
class Gallery:
    """Adversarials of a run as images, from the nearest to the farthest.

    Attributes:
        run: The label of the run.
        norm: The norm of the distances.
        items: The images.
        of: The number of adversarials from which they are chosen.
        remark: Why there are none or fewer than wanted; `None` if there is nothing to say.
    """

    run: str
    norm: Norm
    items: tuple[GalleryItem, ...]
    of: int
    remark: str | None


def gallery(
    run: LabeledRun, count: int = 48, norm: Norm | None = None, attack: str | None = None
) -> Gallery:
    """Return adversarials as images, evenly chosen by rank from the nearest to the farthest.

    They are chosen among the successes on the samples that the model classifies correctly. With
    targets, each pair of a sample and a target is one of these.

    Args:
        run: The run, which must have kept its adversarials.
        count: The largest number of adversarials; the nearest and the farthest are among them.
        norm: The norm of the distances; by default that of the attack, or of the first one.
        attack: The attack, by its name or any form of its spec; by default the closest of all.

    Raises:
        InputError: If there is no such attack.
        MissingLibraryError: If Pillow is not installed.
    """
    records = run.run.records if attack is None else of_attack(run.run.records, attack)
    if len(records) == 0:
        return Gallery(run.label, main_norm(run, norm), (), 0, "The run has no records.")
    norm = norm or (main_norm(run) if attack is None else records.column("norm")[0].as_py())
    part = closest_part(run, norm) if attack is None else records
    ranked = _ranked(part, norm)
    if len(ranked) == 0:
        remark = "No attack found an adversarial of a sample that the model classifies correctly."
        return Gallery(run.label, norm, (), 0, remark)
    if count < 1:
        return Gallery(run.label, norm, (), len(ranked), None)
    try:
        items, note = _items(run, records, part.take(pa.array(ranked)), count, norm)
    except MissingLibraryError:
        raise
    except InputError as error:  # the run has not kept them, or a file is damaged
        return Gallery(run.label, norm, (), len(ranked), str(error))
    return Gallery(run.label, norm, tuple(items), len(ranked), note)


def _ranked(part: Records, norm: Norm) -> Array:
    """Return the positions of the adversarials of correctly classified samples, nearest first."""
    values = values_of(part, norm)
    hits = np.flatnonzero(np.isfinite(values) & is_correct(part))
    return hits[np.argsort(values[hits], kind="stable")]


def _items(
    run: LabeledRun, records: Records, ranked: Records, count: int, norm: Norm
) -> tuple[list[GalleryItem], str | None]:
    """Return the images of ranked records, and a remark.

    Args:
        run: The run.
        records: The records of all attacks to choose from.
        ranked: A record for each adversarial, nearest first.
        count: The largest number of adversarials.
        norm: The norm of the distances.

    Raises:
        InputError: If the run has not kept what is needed.
    """
    origin = run.run.origin()
    nearest = _found(records, ranked.slice(0, 1), norm)
    shape = tuple(read_adversarials(nearest, *origin).inputs.shape[1:])
    if not is_picture(shape):
        return [], f"The samples, of shape {list(shape)}, are no images, so they are not shown."
    possible = max(_MOST_ENTRIES // (3 * int(np.prod(shape))), _FEWEST)
    places = np.linspace(0, len(ranked) - 1, min(count, possible)).round().astype(np.int64)
    chosen = _found(records, ranked.take(pa.array(np.unique(places))), norm)
    kept = read_adversarials(chosen, *origin)
    low, high = run.run.manifest["configuration"]["bounds"]
    scale = (low, high) if is_finite((low, high)) else _range_of(kept.inputs, kept.adversarials)
    items = [
        _item(row, original, adversarial, norm, scale)
        for row, original, adversarial in zip(
            chosen.to_pylist(), kept.inputs, kept.adversarials, strict=True
        )
    ]
    remarks = []
    if possible < min(count, len(ranked)):
        remarks.append(
            f"Only {len(items):,} are shown, so that the file does not become too large."
        )
    if scale != (low, high):
        remarks.append(_NO_BOUNDS)
    return items, " ".join(remarks) or None


def _range_of(*images: Tensor) -> Interval:
    """Return the lowest and the highest value of images, which differ."""
    low = min(float(one.min()) for one in images)
    high = max(float(one.max()) for one in images)
    return (low, high) if low < high else (low, low + 1)


def _found(records: Records, closest: Records, norm: Norm) -> Records:
    """Return for each of the closest records the one of the attack that found it."""
    candidates = records.filter(pc.is_in(records.column("index"), closest.column("index")))
    found = closest_as_found(candidates, norm)
    places = {key: place for place, key in enumerate(zip(*keys_of(found), strict=True))}
    return found.take(pa.array([places[key] for key in zip(*keys_of(closest), strict=True)]))


def _item(
    row: dict[str, Any], original: Tensor, adversarial: Tensor, norm: Norm, bounds: Interval
) -> GalleryItem:
    perturbation = adversarial.double() - original.double()
    magnification = magnification_of(perturbation, bounds)
    return GalleryItem(
        index=row["index"],
        label=row["label"],
        clean_prediction=row["clean_prediction"],
        adversarial_prediction=row["adversarial_prediction"],
        target=row["target"],
        attack=row["attack"],
        distance=row[norm],
        magnification=magnification,
        original=picture(original, bounds),
        adversarial=picture(adversarial, bounds),
        perturbation=perturbation_picture(perturbation, magnification, bounds),
    )
