"""Samples as PNG files."""

import io
import math

import numpy as np
from jaxtyping import Float
from torch import Tensor

from minnorm.boxes import Interval, span
from minnorm.errors import MissingLibraryError
from minnorm.evaluation.estimates import Array
from minnorm.report.facts.round_numbers import round_down

_CHANNELS = (1, 3)
"""The numbers of channels of gray and color images."""

_SMALLEST_SIDE = 4
"""Pixels: what is smaller is no image but a table or a sequence."""

_FACTORS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
"""First digits of the factors by which perturbations are magnified."""


def is_picture(shape: tuple[int, ...]) -> bool:
    """Return whether samples of a shape are gray or color images, in either order of channels."""
    sizes = tuple(shape)
    if len(sizes) == 3 and sizes[0] in _CHANNELS:
        sizes = sizes[1:]
    elif len(sizes) == 3 and sizes[2] in _CHANNELS:
        sizes = sizes[:2]
    return len(sizes) == 2 and min(sizes) >= _SMALLEST_SIDE


def picture(sample: Float[Tensor, "*d"], bounds: Interval) -> bytes:
    """Return a sample as a PNG file: the lowest value is black, the highest one white.

    Args:
        sample: An image of a shape that `is_picture`.
        bounds: The lowest and the highest value of an input.
    """
    return _png((_pixels(sample) - bounds[0]) / span(bounds))


def perturbation_picture(
    perturbation: Float[Tensor, "*d"], magnification: float, bounds: Interval
) -> bytes:
    """Return a perturbation as a PNG file: 0 is gray, and what is larger is lighter.

    Args:
        perturbation: The perturbation, of a shape that `is_picture`.
        magnification: The factor of the perturbation.
        bounds: The lowest and the highest value of an input.
    """
    return _png(0.5 + magnification * _pixels(perturbation) / span(bounds))


def magnification_of(perturbation: Float[Tensor, "*d"], bounds: Interval) -> float:
    """Return the largest round factor by which no entry of a perturbation leaves the gray levels.

    Args:
        perturbation: The perturbation.
        bounds: The lowest and the highest value of an input.
    """
    largest = float(perturbation.abs().max()) / span(bounds)
    if not (largest > 0 and math.isfinite(largest)):
        return 1.0
    return round_down(0.5 / largest * (1 + 1e-6), _FACTORS)


def _pixels(sample: Tensor) -> Array:
    """Return an image as [height width channels], or [height width] without channels."""
    values: Array = sample.detach().cpu().double().numpy()
    if values.ndim == 3 and values.shape[0] in _CHANNELS:
        values = values.transpose(1, 2, 0)
    return values


def _png(values: Array) -> bytes:
    """Write values from 0 to 1 as 8-bit pixels."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingLibraryError(
            "pictures of adversarials need Pillow: pip install 'minnorm[report]'"
        ) from error
    pixels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()
