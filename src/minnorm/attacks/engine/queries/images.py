"""Points that are likely to be adversarial, as starts of attacks without gradients."""

from collections.abc import Iterator
from itertools import count

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.attacks.engine.autograd import noise_of_sample
from minnorm.attacks.engine.queries.bases import Basis
from minnorm.attacks.engine.search import Search
from minnorm.boxes import rows
from minnorm.geometry import norms, per_sample, wide

_STRENGTHS = (0.8, 0.4, 1.2)
"""The size of the noise, as a share of the width of the bounds."""

_WITHOUT_BOUNDS = 10.0
"""The distance of a finite bound in place of an infinite one, as a multiple of how much the values
of the input differ."""


def images(search: Search, basis: Basis) -> Iterator[Float[Tensor, "b *d"]]:
    """Yield points: noise, for images in one octave of frequencies at a time, and blurred inputs.

    After the first round of these come the ends of the bounds and the inverted input. The noise is
    the same for all samples of the batch.
    """
    origins = wide(search.problem.origins)
    low, high = finite_bounds(search)
    generator = _other_generator(search)
    middle, width = (low + high) / 2, high - low
    octaves, smooth = _octaves(basis), 1 / (1 + basis.frequencies)
    for number in count():
        strength = _STRENGTHS[number % len(_STRENGTHS)] * width
        yield _feasible(search, middle + strength * _noise(origins, basis, smooth, generator))
        for first in reversed(octaves):
            inside = (basis.frequencies >= first) & (basis.frequencies < 2 * max(first, 2))
            noise = _noise(origins, basis, inside.to(origins.dtype), generator)
            yield _feasible(search, origins + strength * noise)
            if number == 0 and first > 0:
                kept = 1 / (1 + (basis.frequencies / first) ** 4)
                yield _feasible(search, basis.values(basis.coefficients(origins) * kept))
        if number == 0:
            for values in (low, high, low + high - origins):
                yield _feasible(search, values.expand_as(origins))


def _octaves(basis: Basis) -> list[float]:
    """Return the lowest frequencies of octaves; the first one begins at 0."""
    octaves = [0.0]
    while octaves[-1] * 2 < float(basis.frequencies.max()) / 1.5:
        octaves.append(2 * max(octaves[-1], 2.0))
    return octaves


def uniform_points(search: Search) -> Iterator[Float[Tensor, "b *d"]]:
    """Yield points that are drawn uniformly from the bounds, the same for all samples."""
    origins = search.problem.origins
    low, high = finite_bounds(search)
    generator = _other_generator(search)
    while True:
        # The distribution function of normal noise makes it uniform.
        noise = wide(noise_of_sample(origins, generator))
        yield _feasible(search, (low + (high - low) * torch.special.ndtr(noise)).expand_as(origins))


def _other_generator(search: Search) -> torch.Generator:
    """Return a second source of random numbers, for those whose number depends on the batch."""
    seed = (search.generator.initial_seed() + 1) % 2**62
    return torch.Generator(search.generator.device).manual_seed(seed)


def _noise(
    origins: Float[Tensor, "b *d"],
    basis: Basis,
    spectrum: Float[Tensor, "*d"],
    generator: torch.Generator,
) -> Float[Tensor, "1 *d"]:
    """Return noise with this spectrum of amplitudes, of which a usual entry is 1."""
    drawn = wide(noise_of_sample(origins, generator)).unsqueeze(0)
    noise = basis.values(drawn * spectrum)
    return noise * per_sample(rows(noise).shape[1] ** 0.5 / norms(noise), noise)


def usual_reach(origins: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    """Return a distance that is large for the values of each input: 10 times their differences."""
    values = rows(origins)
    differences = (values - values.mean(1, keepdim=True)).abs().mean(1)
    sizes = values.abs().mean(1)
    reach = torch.where(differences > 0, differences, torch.where(sizes > 0, sizes, 1.0))
    return _WITHOUT_BOUNDS * reach


def finite_bounds(search: Search) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Return the bounds as tensors that broadcast to the batch, finite ones for infinite ones."""
    origins = wide(search.problem.origins)
    reach = per_sample(usual_reach(origins), origins)
    low, high = (
        torch.as_tensor(bound, dtype=origins.dtype, device=origins.device)
        for bound in search.problem.bounds
    )
    return (
        torch.where(low.isfinite(), low, origins - reach),
        torch.where(high.isfinite(), high, origins + reach),
    )


def _feasible(search: Search, points: Tensor) -> Tensor:
    problem = search.problem
    return problem.feasible_(points.to(problem.origins.dtype, copy=True))
