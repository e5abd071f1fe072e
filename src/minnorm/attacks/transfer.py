"""Transfer: adversarials of other models, tried by predicted classes alone, then improved.

The attack of the NIPS 2018 Adversarial Vision Challenge (Brendel et al., https://arxiv.org/abs/1808.01976)
as Rony et al. (2019) entered it: the gradients of surrogates give directions, a search along them
finds the boundary of the target, and an attack by decisions continues there. That adversarials of
one model fool others is from Szegedy et al. (https://arxiv.org/abs/1312.6199), and that ensembles
of surrogates help in targeted attacks from Liu et al. (https://arxiv.org/abs/1611.02770).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated, needs
from minnorm.attacks.decision.decision_pursuit import decision_pursuit
from minnorm.attacks.engine.ascent import ascend, default_step_size
from minnorm.attacks.engine.autograd import ordinary
from minnorm.attacks.engine.bisection import bisect
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.queries.quota import LEAST_BUDGET, Quota, without_reserve
from minnorm.attacks.engine.search import Search
from minnorm.attacks.gradient.fmn import fmn
from minnorm.attacks.gradient.normal_pursuit import normal_pursuit
from minnorm.attacks.surrogates import Surrogates, ensemble, models_of, of_classes
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_flag
from minnorm.geometry import Norm, check_ball, norms, per_sample

_CLOSEST: dict[Norm, Callable[..., AttackResult]] = {
    "l2": partial(normal_pursuit, budget=50),
    "linf": partial(fmn, norm="linf", steps=50),
}
"""The attacks that find the boundary of a surrogate."""

_MULTIPLES = (1.5, 2.5, 4.0)
"""The radii of the balls in which the loss of a surrogate is climbed, as multiples of the distance
to its boundary."""

_USUAL_RADII: dict[Norm, float] = {"l2": 1.0, "linf": 0.1}
"""The distance, in units, that counts as that of a boundary which was not found, or is at 0."""

_STEPS = 20
"""The gradients of an ascent."""

_NEARER, _SHRINKAGE = 0.95, 0.75
"""The length of a trial, as a share of the least one that is adversarial; and the factor on it for
the second trial, after an adversarial one."""

_GROWTH, _MOST_GROWTH = 2.0, 32.0
"""The factor on the length of a trial after each one that was not adversarial, as long as none is
known; and the largest factor on the length of a candidate."""

_LARGEST_SHARE = 1 / 3
"""The share of the budget that the trials may use if decision pursuit follows."""

_BISECTIONS = 10
"""The bisections at the end if it does not."""


@accepts_accelerated
@needs("decisions")
def transfer(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    surrogates: Surrogates,
    targeted: bool = False,
    budget: int = 1000,
    refine: bool = True,
    norm: Norm = "l2",
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Try the adversarials of other models on a model of which only the class is known.

    Each surrogate, and the ensemble of several, is attacked with its gradients: at its boundary,
    and for the highest loss at several distances beyond. The directions found are tried on the
    model: farther and farther away until one is adversarial, then closer than the closest before.
    `decision_pursuit` continues from the best one with the queries that are left.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask: See `minnorm.attacks.ddn`.
        surrogates: One model or several, with the classes of the model under attack, and with
            gradients. In a spec, specs of models: `transfer(surrogates='zoo:mnist-cnn-ddn')`.
        budget: The most queries of a sample, at least 3: forward passes of the model under attack.
            What the surrogates compute does not count.
        refine: Whether decision pursuit follows. Otherwise a bisection ends the attack, after far
            fewer queries than the budget.
        norm: The norm to minimize, `l2` or `linf`.
        starts: Further points to try, such as images of the target class.
        generator: The source of all random numbers, which the samples of the batch share; by
            default a generator with a fixed seed.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described, or a surrogate has fewer classes.
    """
    check_count("budget", budget, least=LEAST_BUDGET)
    check_flag("refine", refine)
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
        quota.adversarial_at(search.problem.origins)
        reserved = quota.left - int(_LARGEST_SHARE * budget) if refine else _BISECTIONS
        trials = _Trials(quota)
        if starts is not None:
            trials.query(search.problem.feasible_(ordinary(starts).clone()))
        models = [of_classes(one, search.classes) for one in models_of(surrogates)]
        for points in _candidates(search, models):
            if quota.left <= max(reserved, 1):
                break
            trials.query(points)
        if refine and quota.left >= LEAST_BUDGET:
            search.absorb(_refined(search, quota.left))
        else:
            bisect(search, min(_BISECTIONS, quota.left))
        return search.result()


def _refined(search: Search, budget: int) -> AttackResult:
    problem = search.problem
    return decision_pursuit(
        search.model,
        problem.origins,
        problem.goal.labels,
        targeted=problem.goal.targeted,
        budget=budget,
        norm=problem.norm,
        levels=problem.levels,
        bounds=problem.bounds,
        starts=search.incumbent.result().adversarials,
        generator=search.generator,
    )


def _candidates(search: Search, models: Sequence[Model]) -> Iterator[Float[Tensor, "b *d"]]:
    """Yield points that fool surrogates, those of the ensemble first."""
    several = [ensemble(models), *models] if len(models) > 1 else [*models]
    found = [_closest(search, one) for one in several]
    yield from (one.adversarials for one in found)
    for multiple in _MULTIPLES:
        for one, closest in zip(several, found, strict=True):
            yield _of_high_loss(search, one, closest.distances, multiple)


def _closest(search: Search, surrogate: Model) -> AttackResult:
    problem = search.problem
    return _CLOSEST[problem.norm](
        surrogate,
        problem.origins,
        problem.goal.labels,
        targeted=problem.goal.targeted,
        bounds=problem.bounds,
    )


def _of_high_loss(
    search: Search, surrogate: Model, distances: Float[Tensor, "b"], multiple: float
) -> Float[Tensor, "b *d"]:
    """Return points of the least margins of a surrogate in balls, by projected ascent."""
    given = search.problem
    with open_search(
        surrogate,
        given.origins,
        given.goal.labels,
        targeted=given.goal.targeted,
        bounds=given.bounds,
        generator=None,
        norm=given.norm,
    ) as own:
        lengths = distances / own.problem.unit
        usual = _USUAL_RADII[given.norm]
        radii = multiple * torch.where((lengths > 0) & lengths.isfinite(), lengths, usual)
        return ascend(
            own,
            own.problem.origins,
            radii,
            steps=_STEPS,
            step_size=default_step_size(1.0, _STEPS) * radii,
            direction=lambda logits: -own.goal.margin_direction(logits),
        )


class _Trials:
    """Trials of candidates on the model under attack, two queries for each.

    Args:
        quota: The queries.
    """

    def __init__(self, quota: Quota) -> None:
        self._quota, self._search = quota, quota.search
        self._growth = torch.ones_like(self._search.incumbent.distances)

    def query(self, candidates: Float[Tensor, "b *d"]) -> None:
        """Query two points on the lines from the inputs to the candidates, or beyond these.

        As long as no adversarial is known, they are farther and farther away. Later on, the first
        one is closer than the best adversarial. If it is not adversarial, the second one is on the
        line to the best.
        """
        search, quota = self._search, self._quota
        problem, best = search.problem, search.incumbent.distances
        moves = candidates - problem.origins
        lengths = norms(moves, problem.norm)
        unknown = best.isinf()
        factors = torch.where(unknown, self._growth, _NEARER * best / lengths).nan_to_num(0.0, 0.0)
        hits = quota.adversarial_at(_at(search, moves, factors))
        to_best = search.incumbent.result().adversarials - problem.origins
        grown = (_GROWTH * factors).clamp_max(_MOST_GROWTH)
        factors = torch.where(hits, _SHRINKAGE * factors, torch.where(unknown, grown, _NEARER))
        along = per_sample(hits | unknown, moves)
        hits = quota.adversarial_at(_at(search, torch.where(along, moves, to_best), factors))
        has_length = unknown & (lengths > 0)
        self._growth = torch.where(has_length & ~hits, grown, self._growth)


def _at(
    search: Search, moves: Float[Tensor, "b *d"], factors: Float[Tensor, "b"]
) -> Float[Tensor, "b *d"]:
    problem = search.problem
    return problem.feasible_(problem.origins + moves * per_sample(factors, moves).to(moves.dtype))
