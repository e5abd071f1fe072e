"""Orthonormal bases of the inputs, and bands: entries that are of a similar size in gradients.

The gradients of image classifiers have a spectrum: some spatial frequencies are large, others
small, and gray is larger than differences of colors. In a cosine basis (the discrete cosine
transform) an attack can learn it.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm.boxes import rows

_SMALLEST_IMAGE = 4
"""The least height and width of inputs that count as images."""

_COLORS = 3
"""The number of channels that count as colors."""

_BRIGHTNESS = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in the brightness of an image."""

_BANDS_PER_OCTAVE, _LOWEST = 2, 0.5
"""The bands of each octave of frequencies, and the frequency that stands for 0."""


@dataclass(frozen=True)
class Basis:
    """An orthonormal basis for inputs of one shape: cosines for images, otherwise the entries.

    Attributes:
        transforms: The cosine transforms of columns and of rows, `[h h]` and `[w w]`; `None` for
            data that are no images.
        colors: The cosine transform of the three channels, gray first; `None` without colors.
        frequencies: The spatial frequency of each coefficient of a sample, `[*d]`; 0 for data that
            are no images.
        bands: The band of each coefficient of a sample, flattened: half an octave of a color.
        count: The number of bands.
    """

    transforms: tuple[Float[Tensor, "h h"], Float[Tensor, "w w"]] | None
    colors: Float[Tensor, "3 3"] | None
    frequencies: Float[Tensor, "*d"]
    bands: Int64[Tensor, "n"]
    count: int

    def coefficients(self, values: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Return the coefficients of values; lengths and inner products stay the same."""
        if self.transforms is None:
            return values
        columns, lines = self.transforms
        waves = columns @ values @ lines.T
        return waves if self.colors is None else _mixed(self.colors, waves)

    def values(self, coefficients: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Return the values with these coefficients, the inverse of `coefficients`."""
        if self.transforms is None:
            return coefficients
        columns, lines = self.transforms
        waves = coefficients if self.colors is None else _mixed(self.colors.T, coefficients)
        return columns.T @ waves @ lines

    def shaped(
        self, values: Float[Tensor, "b *d"], knee: float, power: float
    ) -> Float[Tensor, "b *d"]:
        """Return the values with a power of the spectrum that is expected of a normal.

        Its squares are flat up to a share of the side and fall from there. The colors of an image
        count as much as in its brightness.
        """
        if self.transforms is None:
            return values
        columns, lines = self.transforms
        side = max(self.frequencies.shape[-2:])
        spectrum = 1 / (1 + (self.frequencies / (knee * side)).square())
        shaped = columns.T @ ((columns @ values @ lines.T) * spectrum**power) @ lines
        if self.colors is None:
            return shaped
        return shaped * values.new_tensor(_BRIGHTNESS).view(-1, 1, 1) ** power

    def sums(self, values: Float[Tensor, "b *d"]) -> Float[Tensor, "b bands"]:
        """Return the sum over each band."""
        flat = rows(values)
        return flat.new_zeros(len(flat), self.count).index_add_(1, self.bands, flat)

    def spread(self, numbers: Float[Tensor, "b bands"]) -> Float[Tensor, "b *d"]:
        """Return a number of each band at all coefficients of the band."""
        return numbers[:, self.bands].view(len(numbers), *self.frequencies.shape)


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
        vertical, horizontal = (cosines(size).to(inputs.device, wide) for size in (height, width))
        transforms = (vertical, horizontal)
        side = max(height, width)
        # In cycles per longer side, so that they have the same meaning in both directions.
        down, across = (
            torch.arange(size, device=inputs.device, dtype=wide) * (side / size)
            for size in (height, width)
        )
        plane = torch.hypot(down.unsqueeze(1), across)
        frequencies = plane.expand(sample)
    octaves = (frequencies.clamp_min(_LOWEST) / _LOWEST).log2()
    bands = (_BANDS_PER_OCTAVE * octaves).round().long()
    colors = None
    if transforms is not None and len(sample) == 3 and sample[0] == _COLORS:
        colors = cosines(_COLORS).to(inputs.device, wide)
        places = torch.arange(_COLORS, device=inputs.device)
        bands = bands + (bands.max() + 1) * places.view(-1, 1, 1)
    return Basis(transforms, colors, frequencies, bands.flatten(), int(bands.max()) + 1)


def _mixed(colors: Float[Tensor, "3 3"], values: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
    """Return channels that are sums of channels with these weights."""
    return torch.einsum("kc,bchw->bkhw", colors, values)


def cosines(size: int) -> Float[Tensor, "n n"]:
    """Return the orthonormal discrete cosine transform (DCT-II)."""
    places = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi / size * places.unsqueeze(1) * (places + 0.5))
    waves[0] /= math.sqrt(2)
    return waves * math.sqrt(2 / size)
