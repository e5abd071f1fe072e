"""The radii that APGD tries as a minimum-norm attack, for one sample."""

from collections.abc import Sequence


def radii_of_one_sample(initial_norm: float, found: Sequence[float | None]) -> list[float]:
    """Return the radius of each search.

    Args:
        initial_norm: The first radius.
        found: The distance of the adversarial that each search finds, `None` for a failure.
    """
    radius, low, closest = initial_norm, 0.0, float("inf")
    radii = []
    for distance in found:
        radii.append(radius)
        if distance is None:
            low = max(low, radius)
        else:
            closest = min(closest, distance)
        radius = 2 * radius if closest == float("inf") else (low + closest) / 2
    return radii
