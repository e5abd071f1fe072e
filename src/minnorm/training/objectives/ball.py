"""What the objectives that look inside a ball have in common: Madry, FGSM and TRADES."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.ascent import default_step_size
from minnorm.attacks.search import Search, search


def check_ascent(epsilon: float, norm: geometry.Norm, steps: int, step_size: float | None) -> float:
    """Checks how the ball is searched, and gives the length of a step.

    Raises:
        ValueError: If an argument is not as `madry` describes.
    """
    checks.check_number("epsilon", epsilon, 0)
    checks.check_count("steps", steps)
    if step_size is not None:
        checks.check_number("step_size", step_size, 0)
    geometry.check_ball(norm)
    return step_size or default_step_size(epsilon, steps)


@contextmanager
def in_ball(
    model: nn.Module,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    generator: Generator,
    *,
    epsilon: float,
    norm: geometry.Norm,
) -> Iterator[tuple[Search, Float[Tensor, "b"]]]:
    """Gives a search around images in 0..1, and the radii of the balls, for `ascend`."""
    with search(
        model,
        inputs,
        labels,
        targeted=False,
        bounds=(0.0, 1.0),
        generator=generator,
        norm=norm,
    ) as state:
        yield state, torch.full_like(state.incumbent.distances, epsilon)
