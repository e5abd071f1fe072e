"""Decision pursuit: normal pursuit whose normals are learned from predicted classes.

A method of this package, see docs/decision-pursuit.md. It builds on the geometry of HopSkipJump
(Chen, Jordan, Wainwright, IEEE S&P 2020, https://arxiv.org/abs/1904.02144), on assumed-density
filtering (Minka, UAI 2001), and on the low frequencies of QEBA (Li et al., CVPR 2020).
"""

from itertools import chain

from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated, needs
from minnorm.attacks.engine.autograd import ordinary
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.queries.bases import basis_of
from minnorm.attacks.engine.queries.images import images
from minnorm.attacks.engine.queries.quota import LEAST_BUDGET, Quota, without_reserve
from minnorm.attacks.engine.queries.rounds import Plan, pursue
from minnorm.boxes import Bounds
from minnorm.checks import check_count
from minnorm.geometry import Norm, check_ball

_PLAN = Plan(probes=60, radii=(0.1, 0.05))
"""The probes of a round, and their distances from the line."""


@accepts_accelerated
@needs("decisions")
def decision_pursuit(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    budget: int = 1000,
    norm: Norm = "l2",
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of small norm from predicted classes alone.

    A line from the input meets the boundary somewhere. At the closest point of the boundary, line
    and normal are parallel, so the line turns towards the normal. What is known about the normal is
    a Gaussian belief. Each query near the boundary improves it by Bayesian probit regression, and
    it is kept when the line moves. For images, it includes the spectrum of the normal.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask: See `minnorm.attacks.ddn`.
        budget: The most queries of a sample, at least 3: forward passes of the model. Up to 4 of
            them confirm the result, another one with `levels`.
        norm: The norm to minimize, `l2` or `linf`.
        starts: Adversarial points (a warm start), for example images of the target class. Without
            them, a targeted attack may find no point of that class. Points that are not adversarial
            have no effect.
        generator: The source of all random numbers, which the samples of the batch share; by
            default a generator with a fixed seed.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("budget", budget, least=LEAST_BUDGET)
    check_ball(norm)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        norm=norm,
        starts=starts,
        levels=levels,
        access="decisions",
    ) as search:
        quota = Quota(search, without_reserve(search, budget))
        basis = basis_of(search.problem.origins)
        quota.adversarial_at(search.problem.origins)
        candidates = images(search, basis)
        if starts is not None:
            candidates = chain([search.problem.feasible_(ordinary(starts).clone())], candidates)
        pursue(quota, basis, candidates, _PLAN)
        return search.result()
