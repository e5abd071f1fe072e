"""Orthonormal bases of the inputs, and bands: entries that are of a similar size in gradients.

The gradients of image classifiers have a spectrum: some spatial frequencies are large, others
small. In a cosine basis (the discrete cosine transform) an attack can learn it.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm.boxes import rows

_SMALLEST_IMAGE = 4
"""The least height and width of inputs that count as images."""


@dataclass(frozen=True)
class Basis:
    """An orthonormal basis for inputs of one shape: cosines for images, otherwise the entries.

    Attributes:
        transforms: The cosine transforms of columns and of rows, `[h h]` and `[w w]`; `None` for
            data that are no images.
        frequencies: The spatial frequency of each coefficient of a sample, `[*d]`; 0 for data that
            are no images.
        bands: The band of each coefficient of a sample, flattened: its rounded frequency.
        sizes: The number of coefficients of each band.
    """

    transforms: tuple[Float[Tensor, "h h"], Float[Tensor, "w w"]] | None
    frequencies: Float[Tensor, "*d"]
    bands: Int64[Tensor, "n"]
    sizes: Float[Tensor, "bands"]

    def coefficients(self, values: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Return the coefficients of values; lengths and inner products stay the same."""
        if self.transforms is None:
            return values
        columns, lines = self.transforms
        return columns @ values @ lines.T

    def values(self, coefficients: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Return the values with these coefficients, the inverse of `coefficients`."""
        if self.transforms is None:
            return coefficients
        columns, lines = self.transforms
        return columns.T @ coefficients @ lines

    def averaged(self, values: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Return values that are averaged over each band."""
        flat = rows(values)
        sums = flat.new_zeros(len(flat), len(self.sizes)).index_add_(1, self.bands, flat)
        return (sums / self.sizes)[:, self.bands].view_as(values)


def basis_of(inputs: Float[Tensor, "b *d"]) -> Basis:
    """Return the basis for inputs: for images, whose last two dimensions are height and width.

    Other inputs have a single band.
    """
    sample = inputs.shape[1:]
    wide = torch.promote_types(inputs.dtype, torch.float32)
    if len(sample) < 2 or min(sample[-2:]) < _SMALLEST_IMAGE:
        frequencies = torch.zeros(sample, dtype=wide, device=inputs.device)
        transforms: tuple[Tensor, Tensor] | None = None
    else:
        height, width = sample[-2:]
        vertical, horizontal = (_cosines(size).to(inputs.device, wide) for size in (height, width))
        transforms = (vertical, horizontal)
        side = max(height, width)
        # In cycles per longer side, so that they have the same meaning in both directions.
        down, across = (
            torch.arange(size, device=inputs.device, dtype=wide) * (side / size)
            for size in (height, width)
        )
        plane = torch.hypot(down.unsqueeze(1), across)
        frequencies = plane.expand(sample)
    bands = frequencies.round().long().flatten()
    return Basis(transforms, frequencies, bands, torch.bincount(bands).clamp_min(1).to(wide))


def _cosines(size: int) -> Float[Tensor, "n n"]:
    """Return the orthonormal discrete cosine transform (DCT-II)."""
    places = torch.arange(size, dtype=torch.float64)
    cosines = torch.cos(math.pi / size * places.unsqueeze(1) * (places + 0.5))
    cosines[0] /= math.sqrt(2)
    return cosines * math.sqrt(2 / size)
