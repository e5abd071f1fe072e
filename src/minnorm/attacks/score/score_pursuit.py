"""Score pursuit: normal pursuit whose normals are learned from logits.

A method of this package. The gradients of the differences of logits are estimated by linear
regression on everything that was queried, as Ilyas, Engstrom, Athalye, Lin (ICML 2018,
https://arxiv.org/abs/1804.08598) and Ilyas, Engstrom, Madry (ICLR 2019,
https://arxiv.org/abs/1807.07978) estimate them by finite differences, the latter with a prior. The
probes are single cosines, as in SimBA (Guo, Gardner, You, Wilson, Weinberger, ICML 2019,
https://arxiv.org/abs/1905.07121), here on patches and in a learned order.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated, needs
from minnorm.attacks.engine.autograd import ordinary
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.queries.bases import basis_of
from minnorm.attacks.engine.queries.differences import Differences
from minnorm.attacks.engine.queries.images import images
from minnorm.attacks.engine.queries.jumps import by_decisions
from minnorm.attacks.engine.queries.patches import patches_of
from minnorm.attacks.engine.queries.steps import stepped
from minnorm.attacks.engine.queries.tangents import Tangent, first_tangent, probed
from minnorm.boxes import Bounds
from minnorm.checks import check_count
from minnorm.geometry import Norm, check_ball, per_sample, wide

_FIRST_SHARE, _FIRST_RANGE = 0.12, (8, 60)
"""The probes of the first round, as a share of the budget, and their least and largest number."""

_SHARE, _RANGE = 0.06, (4, 16)
"""The same for the other rounds."""

_HALVINGS = 6
"""The halvings of the line from an input to a start: gradients far beyond the boundary say little
about it."""

_CHECKS = (0.2, 0.45)
"""The shares of the budget after which samples whose scores jump continue with decisions."""

_JUMP = 0.6
"""Scores jump where the margins at the ends of steps are not closer to 0 than this share of that of
the input."""

_STRETCHED = 4.0
"""Scores are constant in most places where probes have grown by this factor to change any."""

_RETURNING = 0.5
"""The share of the queries by decisions in which single features return, for such scores."""


@accepts_accelerated
@needs("scores")
def score_pursuit(
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
    """Find adversarials of small norm from logits, without gradients.

    Each query measures how all differences of logits change in one direction. A linear regression
    on all queries estimates their gradients, and the next step ends at the closest point of the
    boundary in this linear model. For images, the directions are cosines on patches: a few of them
    say in which patches, and at which frequencies, others are worth a query.

    Where the scores jump, as those of trees do, the attack continues with predicted classes, and
    returns single features towards the input.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask: See `minnorm.attacks.ddn`.
        budget: The queries of a sample, at least 2: forward passes of the model.
        norm: The norm to minimize, `l2` or `linf`.
        starts: Adversarial points to improve, which help most in a targeted attack: for example
            images of the target class. Points that are not adversarial have no effect.
        generator: The source of all random numbers, which the samples of the batch share; by
            default a generator with a fixed seed.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("budget", budget, least=2)
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
        access="scores",
        own_unit=False,
    ) as search:
        scores, basis = Differences(search, budget), patches_of(search.problem.origins)
        stay = search.drop_found()
        scores.keep(stay)
        tangent = first_tangent(scores, basis)
        if starts is not None:
            tangent = _started(scores, tangent, ordinary(starts)[stay])
        probes = _between(_FIRST_SHARE * budget, _FIRST_RANGE)
        checks = list(_CHECKS)
        candidates: Iterator[Tensor] | None = None
        while scores.left > 1 and len(tangent.trust) > 0:
            tangent = probed(scores, basis, tangent, min(probes, scores.left - 1), candidates)
            tangent = stepped(scores, basis, tangent)
            probes = _between(_SHARE * budget, _RANGE)
            if checks and scores.left < (1 - checks[0]) * budget:
                checks.pop(0)
                tangent = _without_jumps(scores, tangent, started=starts is not None)
                if not checks:
                    candidates = images(search, basis_of(search.problem.origins))
        return search.result()


def _between(number: float, ends: tuple[int, int]) -> int:
    return min(max(int(number), ends[0]), ends[1])


def _started(scores: Differences, tangent: Tangent, starts: Float[Tensor, "b *d"]) -> Tangent:
    """Return the linear models where lines from inputs to adversarial starts cross the boundary.

    Args:
        scores: The differences of logits.
        tangent: The linear models at the inputs, which stay where a start is not adversarial.
        starts: The starts.
    """
    problem = scores.search.problem
    low, high = torch.zeros_like(tangent.trust), torch.ones_like(tangent.trust)
    shares, possible = high, torch.ones_like(tangent.crossed)
    for _ in range(min(1 + _HALVINGS, scores.left)):
        weights = per_sample(shares, starts).to(starts.dtype)
        points = problem.feasible_(torch.lerp(problem.origins, starts, weights))
        differences = scores.at(points)
        hits = possible & (scores.margins(differences) <= 0)
        tangent = replace(
            tangent,
            points=torch.where(per_sample(hits, points), wide(points), tangent.points),
            differences=torch.where(hits.unsqueeze(1), differences, tangent.differences),
            crossed=tangent.crossed | hits,
        )
        possible = tangent.crossed
        high = torch.where(hits, shares, high)
        low = torch.where(hits | ~possible, low, shares)
        shares = (low + high) / 2
    return tangent


def _without_jumps(scores: Differences, tangent: Tangent, *, started: bool) -> Tangent:
    """Let samples leave whose scores jump, after an attack by decisions.

    Args:
        scores: The differences of logits.
        tangent: The linear models.
        started: Whether the attack began at given points.

    Returns:
        The linear models of the samples that stay.
    """
    search = scores.search
    is_table = search.problem.origins.ndim == 2
    # Images without an adversarial may need more steps: a first one by decisions is far away.
    jumps = tangent.gaps > _JUMP * scores.margins(scores.first).abs()
    jumps = jumps & (tangent.crossed | is_table)
    constant = tangent.stretch >= _STRETCHED
    for chosen, returning in ((constant, _RETURNING), (jumps & ~constant, 0.0)):
        by_decisions(search, chosen, scores.left, returning, started=started)
    stay = search.drop(constant | jumps)
    scores.keep(stay)
    return tangent.part(stay)
