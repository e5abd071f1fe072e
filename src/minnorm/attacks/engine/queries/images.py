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

_STRENGTHS = (0.4, 0.8, 1.2)
"""The size of the noise in images of noise, as a share of the width of the bounds."""

_STRENGTH = 0.3
"""The size of the first noise that is added to inputs."""

_WITHOUT_BOUNDS = 10.0
"""The distance of a finite bound in place of an infinite one, as a multiple of how much the values
of the input differ."""


def images(search: Search, basis: Basis) -> Iterator[Float[Tensor, "b *d"]]:
    """Yield points: the ends of the bounds, the inverted input, and then noise.

    The noise is smooth for images, and the same for all samples of the batch.
    """
    origins = wide(search.problem.origins)
    low, high = finite_bounds(search)
    generator = _other_generator(search)
    middle = (low + high) / 2
    for values in (low, high, low + high - origins):
        yield _feasible(search, values.expand_as(origins))
    for number in count():
        for center, strength in (
            (middle, _STRENGTHS[number % len(_STRENGTHS)]),
            (origins, _STRENGTH * (1 + number % 6)),
        ):
            noise = _smooth_noise(origins, basis, generator)
            yield _feasible(search, center + strength * (high - low) * noise)


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


def _smooth_noise(
    origins: Float[Tensor, "b *d"], basis: Basis, generator: torch.Generator
) -> Float[Tensor, "1 *d"]:
    """Return noise of which a usual entry is 1, and which falls with the frequency for images."""
    drawn = wide(noise_of_sample(origins, generator)).unsqueeze(0)
    noise = basis.values(drawn / (1 + basis.frequencies))
    return noise * per_sample(rows(noise).shape[1] ** 0.5 / norms(noise), noise)


def finite_bounds(search: Search) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Return the bounds as tensors that broadcast to the batch, finite ones for infinite ones."""
    origins = wide(search.problem.origins)
    values = rows(origins)
    differences = (values - values.mean(1, keepdim=True)).abs().mean(1)
    sizes = values.abs().mean(1)
    reach = torch.where(differences > 0, differences, torch.where(sizes > 0, sizes, 1.0))
    reach = per_sample(_WITHOUT_BOUNDS * reach, origins)
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
