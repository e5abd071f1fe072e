"""Adversarials as 8-bit images: rounded so that they stay adversarial, as far as possible."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from minnorm.attacks import Model
from minnorm.boxes import Interval, span
from minnorm.data.dataset import WHITE
from minnorm.evaluation.running.votes import decide
from minnorm.geometry import Norm, distances, per_sample
from minnorm.logits import is_adversarial, predictions
from minnorm.runtime.devices import dtype_and_device

_STRETCHES = (1.01, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
"""Factors of a perturbation that is rounded to an adversarial farther away."""

_TOLERANCE = 1e-2
"""The largest error of a value, in pixels, that counts as rounding."""


class EightBit(NamedTuple):
    """Adversarials of 8 bits.

    Attributes:
        pixels: Their pixels.
        nearest: Whether each is the adversarial as it was, rounded to the nearest pixels.
    """

    pixels: UInt8[Tensor, "b *d"]
    nearest: Bool[Tensor, "b"]


class Answers(NamedTuple):
    """What a model answers to 8-bit images.

    Attributes:
        classes: The predicted classes, -1 where logits hold NaN.
        adversarial: Whether they are those that an attack aims at.
    """

    classes: Int64[Tensor, "b"]
    adversarial: Bool[Tensor, "b"]


@dataclass(frozen=True)
class Verifier:
    """A model that decides which 8-bit images are adversarial.

    Attributes:
        model: The classifier.
        bounds: The lowest and the highest value of an input.
        targeted: Whether the labels that it gets are target classes.
    """

    model: Model
    bounds: Interval
    targeted: bool

    def ask(self, pixels: UInt8[Tensor, "b *d"], labels: Int64[Tensor, "b"]) -> Answers:
        """Return what the model answers to images, on the CPU.

        Args:
            pixels: The images.
            labels: The true classes, or the target classes if `targeted`.
        """
        dtype, device = dtype_and_device(self.model)
        with torch.no_grad():
            values = from_pixels(pixels, self.bounds).to(device, dtype)
            decision = decide(self.model, values, labels.to(device), targeted=self.targeted)
        logits = decision.logits.cpu()
        return Answers(predictions(logits), is_adversarial(logits, labels, self.targeted))


def to_pixels(values: Float[Tensor, "b *d"], bounds: Interval) -> UInt8[Tensor, "b *d"]:
    """Return values as the nearest pixels: 0 for the lowest bound, 255 for the highest."""
    return _as_pixels(_scaled(values, bounds).round())


def from_pixels(pixels: UInt8[Tensor, "b *d"], bounds: Interval) -> Float[Tensor, "b *d"]:
    """Return the values of pixels in float32; within 0 and 1 they are the pixels divided by 255."""
    return pixels.float() / (WHITE / span(bounds)) + bounds[0]


def round_outward(
    inputs: Float[Tensor, "b *d"], adversarials: Float[Tensor, "b *d"], bounds: Interval
) -> UInt8[Tensor, "b *d"]:
    """Return adversarials as the nearest pixels that are not nearer to the inputs, entry by entry.

    Entries that are as in the input get the nearest pixel.
    """
    scaled = _scaled(adversarials, bounds)
    moved = adversarials.double() - inputs.double()
    rounded = torch.where(moved > 0, scaled.ceil(), torch.where(moved < 0, scaled.floor(), scaled))
    return _as_pixels(rounded.round())


def stay_adversarial(
    verifier: Verifier,
    inputs: Float[Tensor, "b *d"],
    adversarials: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    norm: Norm,
) -> EightBit:
    """Round adversarials to 8 bits so that they stay adversarial, as far as that is possible.

    An adversarial close to the decision boundary may be none after rounding. Then it is rounded
    outward, or its perturbation is stretched before, and the closest adversarial of these is taken.
    If there is none, it is rounded to the nearest pixels.

    Args:
        verifier: Decides what is adversarial.
        inputs: The original inputs.
        adversarials: The adversarials.
        labels: The true classes, or the target classes of a targeted attack.
        norm: The norm in which the closest one is taken.
    """
    bounds = verifier.bounds
    pixels = to_pixels(adversarials, bounds)
    lost = ~verifier.ask(pixels, labels).adversarial
    nearest = torch.ones_like(lost)
    if not lost.any():
        return EightBit(pixels, nearest)
    origins, points = inputs[lost], adversarials[lost]
    best, best_distances = pixels[lost], torch.full((len(points),), torch.inf, dtype=torch.float64)
    for candidate in _farther(origins, points, bounds):
        lengths = distances(from_pixels(candidate, bounds).double(), origins.double(), norm)
        found = verifier.ask(candidate, labels[lost]).adversarial
        closer = found & (lengths < best_distances)
        best = torch.where(per_sample(closer, best), candidate, best)
        best_distances = torch.where(closer, lengths, best_distances)
    pixels[lost] = best
    nearest[lost] = best_distances.isinf()
    return EightBit(pixels, nearest)


def _farther(inputs: Tensor, adversarials: Tensor, bounds: Interval) -> list[Tensor]:
    """Return pixels of points farther away in the direction of each perturbation."""
    moved = adversarials.double() - inputs.double()
    stretched = [to_pixels(inputs.double() + factor * moved, bounds) for factor in _STRETCHES]
    return [round_outward(inputs, adversarials, bounds), *stretched]


def _scaled(values: Tensor, bounds: Interval) -> Tensor:
    """Return values on the scale of pixels, not rounded, but for the error of their own dtype."""
    scaled = (values.double() - bounds[0]) * (WHITE / span(bounds))
    whole = scaled.round()
    tolerance = min(4 * WHITE * torch.finfo(values.dtype).eps, _TOLERANCE)
    return torch.where((scaled - whole).abs() <= tolerance, whole, scaled)


def _as_pixels(values: Tensor) -> Tensor:
    return values.clamp(0, WHITE).to(torch.uint8)
