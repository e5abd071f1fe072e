"""Search inside a ball: code that the objectives Madry, FGSM and TRADES share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn

from minnorm import checks, geometry
from minnorm.attacks.engine.ascent import default_step_size
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.search import Search


def checked_step_size(
    epsilon: float, norm: geometry.Norm, steps: int, step_size: float | None
) -> float:
    """Check the arguments of an ascent, and return the length of a step.

    Raises:
        InputError: If an argument is not as `madry` describes it.
    """
    checks.check_number("epsilon", epsilon, 0)
    checks.check_count("steps", steps)
    if step_size is not None:
        checks.check_number("step_size", step_size, 0)
    geometry.check_ball(norm)
    return step_size or default_step_size(epsilon, steps)


@contextmanager
def search_in_balls(
    model: nn.Module,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    generator: Generator,
    *,
    epsilon: float,
    norm: geometry.Norm,
    mask: Bool[Tensor, "..."] | None = None,
) -> Iterator[tuple[Search, Float[Tensor, "b"]]]:
    """Open a search around inputs in 0..1; yield it with the radii of the balls, for `ascend`."""
    with open_search(
        model,
        inputs,
        labels,
        targeted=False,
        bounds=(0.0, 1.0),
        mask=mask,
        generator=generator,
        norm=norm,
        radius_limit=epsilon,  # without it, lengths may be in another unit than the inputs
    ) as search:
        yield search, torch.full_like(search.incumbent.distances, epsilon)
