"""Cosines on patches of images, and powers: how large the coefficients of a gradient may be.

Gradients of image classifiers are large in some places and small in others, large at some
frequencies and small at others, and mostly gray. Coefficients of patches tell the places and the
frequencies apart, so a few of them say where others are worth a query.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.attacks.engine.queries.bases import cosines
from minnorm.boxes import rows

_SMALLEST_IMAGE = 4
"""The least height and width of inputs that count as images."""

_PATCHES = 4
"""The number of patches along each side of an image."""

_KNEE, _FALL = 8.0, 2.0
"""The expected powers before any query: flat up to this frequency, in cycles per two sides; then
they fall with this power of its square."""

_COLORED = 0.2
"""The expected power of differences of channels, as a share of that of their mean."""

_PRIOR_COUNT = 2.0
"""The number of coefficients that the expectation counts for, in each place and each band."""


@dataclass(frozen=True)
class Patches:
    """An orthonormal basis for inputs of one shape: cosines on patches, otherwise the entries.

    Attributes:
        shape: The shape of a sample.
        transforms: The transforms of channels, columns and rows; `None` for data that are no
            images.
        places: The patch of each coefficient, and of each entry, flattened.
        bands: The band of each coefficient: its frequency, gray and colored ones apart.
        expected: The expected square of each coefficient of a gradient, before any query.
        counts: The number of patches, or of entries if there are none, and the number of bands.
    """

    shape: torch.Size
    transforms: tuple[Tensor, Tensor, Tensor] | None
    places: Int64[Tensor, "n"]
    bands: Int64[Tensor, "n"]
    expected: Float[Tensor, "n"]
    counts: tuple[int, int]

    @property
    def per_patch(self) -> float:
        """The square root of the number of patches of a sample."""
        return math.sqrt(self.counts[0])

    def coefficients(self, values: Float[Tensor, "b *d"]) -> Float[Tensor, "b n"]:
        """Return the coefficients of values; lengths and inner products stay the same."""
        if self.transforms is None:
            return rows(values)
        channels, columns, lines = self.transforms
        images = values.reshape(len(values), -1, len(channels), *self.shape[-2:])
        images = columns @ images @ lines.T
        return torch.einsum("dc,blchw->bldhw", channels, images).reshape(len(values), -1)

    def values(self, coefficients: Float[Tensor, "b n"]) -> Float[Tensor, "b *d"]:
        """Return the values with these coefficients, the inverse of `coefficients`."""
        batch = len(coefficients)
        if self.transforms is None:
            return coefficients.reshape(batch, *self.shape)
        channels, columns, lines = self.transforms
        images = coefficients.reshape(batch, -1, len(channels), *self.shape[-2:])
        images = torch.einsum("dc,bldhw->blchw", channels, images)
        return (columns.T @ images @ lines).reshape(batch, *self.shape)

    def first_powers(self, free: Bool[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        """Return the expected powers, whose sum is 1, for features of which some cannot change."""
        shares = free.to(self.expected.dtype)
        if self.transforms is not None:
            totals = self._in_places(shares) / self._in_places(torch.ones_like(shares))
            shares = totals[:, self.places]
        return _normalized(self.expected * shares)

    def powers(
        self,
        first: Float[Tensor, "b n"],
        energies: Float[Tensor, "b n"],
        known: Float[Tensor, "b n"],
    ) -> Float[Tensor, "b n"]:
        """Return the powers that measured coefficients support, whose sum is 1.

        They are the expected ones times a factor for each patch and one for each band, which are
        fitted in turn.

        Args:
            first: The powers before any query.
            energies: The squares of the measured coefficients.
            known: How much of each coefficient has been measured, from 0 to 1.
        """
        if self.transforms is None:
            return first
        scale = (energies * known).sum(1) / (first * known).sum(1).clamp_min(1e-30)
        base = first * torch.where(scale > 0, scale, 1.0).unsqueeze(1)
        ratios = energies * known / base.clamp_min(1e-30)
        in_places, in_bands = self._in_places(known), self._in_bands(known)
        of_bands = torch.ones_like(in_bands)
        for _ in range(3):
            sums = self._in_places(ratios / of_bands[:, self.bands])
            of_places = (sums + _PRIOR_COUNT) / (in_places + _PRIOR_COUNT)
            sums = self._in_bands(ratios / of_places[:, self.places])
            of_bands = (sums + _PRIOR_COUNT) / (in_bands + _PRIOR_COUNT)
        return _normalized(base * of_places[:, self.places] * of_bands[:, self.bands])

    def _in_places(self, values: Float[Tensor, "b n"]) -> Float[Tensor, "b places"]:
        return _sums(values, self.places, self.counts[0])

    def _in_bands(self, values: Float[Tensor, "b n"]) -> Float[Tensor, "b bands"]:
        return _sums(values, self.bands, self.counts[1])


def patches_of(inputs: Float[Tensor, "b *d"]) -> Patches:
    """Return the basis for inputs: for images, whose last two dimensions are height and width."""
    sample, device = inputs.shape[1:], inputs.device
    dtype = torch.promote_types(inputs.dtype, torch.float32)
    entries = math.prod(sample)
    if len(sample) < 2 or min(sample[-2:]) < _SMALLEST_IMAGE:
        none = torch.zeros(entries, dtype=torch.int64, device=device)
        ones = torch.ones(entries, dtype=dtype, device=device)
        return Patches(sample, None, none, none, ones, (entries, 1))
    height, width = sample[-2:]
    channels = sample[-3] if len(sample) > 2 else 1
    columns, down, top = _on_patches(height)
    lines, across, left = _on_patches(width)
    frequencies = torch.hypot(down.unsqueeze(1), across)
    across_patches = int(left.max()) + 1
    places = top.unsqueeze(1) * across_patches + left
    bands = (frequencies / _PATCHES).round().long()
    colored = (torch.arange(channels) > 0).view(-1, 1, 1)
    bands = bands + colored * (int(bands.max()) + 1)
    expected = (1 + (frequencies / _KNEE).square()) ** -_FALL
    expected = expected * torch.where(colored, _COLORED, 1.0)
    whole = (entries // (channels * height * width), channels, height, width)
    mixing = cosines(channels)
    return Patches(
        sample,
        (mixing.to(device, dtype), columns.to(device, dtype), lines.to(device, dtype)),
        places.expand(whole).flatten().to(device),
        bands.expand(whole).flatten().to(device),
        expected.expand(whole).flatten().to(device, dtype),
        (int(places.max()) + 1, int(bands.max()) + 1),
    )


def _on_patches(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the transform of one side, the frequency of each coefficient, and its patch."""
    number = min(_PATCHES, size // _SMALLEST_IMAGE)
    cuts = [round(place * size / number) for place in range(number + 1)]
    lengths = [end - begin for begin, end in pairwise(cuts)]
    transform: Tensor = torch.block_diag(  # type: ignore[no-untyped-call]
        *(cosines(length) for length in lengths)
    )
    frequencies = torch.cat([torch.arange(length) * (size / length) for length in lengths])
    patches = torch.cat(
        [torch.full((length,), place, dtype=torch.int64) for place, length in enumerate(lengths)]
    )
    return transform, frequencies, patches


def _sums(
    values: Float[Tensor, "b n"], groups: Int64[Tensor, "n"], number: int
) -> Float[Tensor, "b k"]:
    return values.new_zeros(len(values), number).index_add_(1, groups, values)


def _normalized(powers: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    totals = powers.sum(1, keepdim=True)
    return powers / torch.where(totals > 0, totals, 1.0)
