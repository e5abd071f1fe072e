"""Schedules: how a hyper-parameter changes from the first step to the last. Plain numbers."""

import math

from minnorm.errors import InputError


def cosine(initial: float, final: float, steps: int) -> list[float]:
    """Return `steps` values that fall from `initial` to `final` along half a cosine.

    The first is `initial`, the last `final`; a single step takes `initial`.

    Raises:
        InputError: If `steps` is below 1.
    """
    if steps < 1:
        raise InputError(f"steps={steps}: a schedule needs at least 1 step.")
    last = max(steps - 1, 1)
    return [
        final + (initial - final) * (1 + math.cos(math.pi * step / last)) / 2
        for step in range(steps)
    ]
