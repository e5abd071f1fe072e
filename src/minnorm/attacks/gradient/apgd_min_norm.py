"""APGD as a minimum-norm attack: one radius after the other, for each sample separately.

Croce, Hein: "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", ICML 2020, https://arxiv.org/abs/2003.01690.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.adaptive_ascent import LossName, check_ascent, maximize
from minnorm.attacks.engine.opening import open_search
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number
from minnorm.geometry import Norm


@accepts_accelerated
def apgd_min_norm(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    norm: Norm = "l2",
    steps: int = 100,
    searches: int = 10,
    initial_norm: float = 1.0,
    restarts: int = 1,
    loss: LossName = "cross-entropy",
    candidates: int = 9,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of small norm: APGD at one radius after the other.

    Each sample has its own radius. The radius doubles until APGD finds an adversarial. From then on
    it is halfway between the largest radius at which APGD has failed and the distance of the
    closest adversarial. APGD may fail at a radius beyond that distance; then the next radius is
    beyond it too, and a closer adversarial found there counts. Costs `searches` times what `apgd`
    costs.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        norm, steps, restarts, loss, candidates: See `minnorm.attacks.apgd`.
        searches: Number of radii tried.
        initial_norm: The first radius, in units of the width of the bounds.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described, or the model has too few classes for the
            loss.
    """
    check_count("searches", searches)
    check_number("initial_norm", initial_norm, 0)
    check_ascent(steps, restarts, candidates, loss, norm, targeted=targeted)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        norm=norm,
        levels=levels,
    ) as search:
        radii = torch.full_like(search.incumbent.distances, initial_norm)
        low = torch.zeros_like(radii)
        for _ in range(searches):
            part = search.part()
            maximize(part, radii, steps=steps, restarts=restarts, loss=loss, candidates=candidates)
            found = part.result()
            low = torch.where(found.success, low, torch.maximum(low, radii))
            search.absorb(found)
            high = search.incumbent.distances / search.problem.unit
            radii = torch.where(high.isfinite(), (low + high) / 2, 2 * radii)
        return search.result()
