"""Attacks made of attacks."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.access import access_of
from minnorm.attacks.composition import (
    access_needed,
    known_as,
    levels_of,
    limits_radius,
    norm_of,
    tree,
)
from minnorm.attacks.contract import Attack, AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.autograd import ordinary
from minnorm.attacks.engine.bisection import bisect
from minnorm.attacks.engine.incumbent import Incumbent
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.problem import check_attack, check_problem
from minnorm.attacks.engine.search import Search
from minnorm.boxes import Bounds, masked
from minnorm.checks import check_count, check_number
from minnorm.errors import InputError
from minnorm.geometry import Norm, per_sample
from minnorm.radii import least_radii, measured_gaps


def worst_case(attacks: Iterable[Attack], *, norm: Norm | None = None) -> Attack:
    """Combine several attacks: run all, and keep the closest adversarial of each sample.

    This is the row 'All' of the paper's tables. It costs as much as all of the attacks together.

    Args:
        attacks: The attacks, at least one.
        norm: The norm that decides which is closest; by default the attacks' own.

    Returns:
        The combined attack.

    Raises:
        InputError: If there are no attacks, one is not a function, the norm is unknown, or they
            minimize several norms and `norm` is not set.
    """
    listed = (
        isinstance(attacks, Iterable) and not isinstance(attacks, str) and not callable(attacks)
    )
    several = tuple(attacks) if listed else ()
    if not several:
        raise InputError(f"attacks={attacks!r}: expected a list of at least one attack.")
    for attack in several:
        check_attack(attack)
    norm = norm_of(several) if norm is None else geometry.check_norm(norm)
    return cast("Attack", partial(_worst_case, attacks=several, norm=norm))


@known_as("worst_case")
@accepts_accelerated
def _worst_case(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    attacks: Sequence[Attack],
    norm: Norm,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    box = _folded(model, inputs, labels, bounds, mask)
    incumbent = Incumbent(ordinary(inputs), norm)
    for attack in attacks:
        found = attack(model, inputs, labels, targeted=targeted, bounds=box, generator=generator)
        incumbent.offer(found.adversarials, found.success)
    return incumbent.result()


def _folded(
    model: Model, inputs: Tensor, labels: Tensor, bounds: Bounds, mask: Tensor | None
) -> Bounds:
    """Return the bounds with the mask in them, after checking the arguments.

    An attack of a combination need not have a parameter `mask`.
    """
    check_problem(model, inputs, labels, bounds, mask=mask)
    return masked(bounds, ordinary(inputs), mask)


def with_restarts(attack: Callable[..., AttackResult], restarts: int = 5) -> Attack:
    """Run an attack several times, and keep the closest adversarial of each sample.

    If the attack has a parameter `restarts`, this sets it. Otherwise the attack needs a parameter
    `starts`: the first run begins at the inputs, each later run at random points as far away as the
    closest adversarial so far (in the same direction for all samples of the batch).

    Args:
        attack: The attack.
        restarts: The number of runs.

    Returns:
        The combined attack.

    Raises:
        InputError: If the attack is not a function, or always begins at the same point.
    """
    check_count("restarts", restarts)
    check_attack(attack)
    parameters = tree(attack).parameters
    if "restarts" in parameters:
        return cast("Attack", partial(attack, restarts=restarts))
    if "starts" not in parameters:
        raise InputError(
            "this attack always begins at the inputs, so each restart would find the same "
            "adversarials: choose an attack with a parameter 'restarts' or 'starts'."
        )
    return cast("Attack", partial(_with_restarts, attack=attack, restarts=restarts))


@known_as("with_restarts")
@accepts_accelerated
def _with_restarts(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    attack: Callable[..., AttackResult],
    restarts: int,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        norm=norm_of([attack]),
        levels=levels_of([attack]),
        access=access_needed(attack, access_of(model)),
    ) as search:
        for number in range(restarts):
            starts = None if number == 0 else _random_starts(search)
            found = attack(
                model,
                search.problem.origins,
                search.goal.labels,
                targeted=targeted,
                bounds=search.problem.bounds,
                generator=search.generator,
                starts=starts,
            )
            search.absorb(found)
        return search.result()


def _random_starts(search: Search) -> Tensor:
    problem, lengths = search.problem, search.incumbent.distances
    lengths = torch.where(lengths.isfinite(), lengths, problem.unit)
    noise = search.noise().expand_as(problem.origins)
    return problem.feasible_(problem.origins + geometry.scale_to_norm(noise, lengths, problem.norm))


def with_bisection(attack: Attack, bisections: int = 10) -> Attack:
    """Move the adversarials of an attack to the decision boundary, by forward passes.

    Each adversarial moves towards its input as long as it stays adversarial. Afterwards it no
    longer has the `confidence` of the attack.

    Args:
        attack: The attack.
        bisections: Forward passes; each halves the uncertainty.

    Returns:
        The combined attack.

    Raises:
        InputError: If the attack is not a function.
    """
    check_count("bisections", bisections)
    check_attack(attack)
    return cast("Attack", partial(_with_bisection, attack=attack, bisections=bisections))


@known_as("with_bisection")
@accepts_accelerated
def _with_bisection(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    attack: Attack,
    bisections: int,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    box = _folded(model, inputs, labels, bounds, mask)
    found = attack(model, inputs, labels, targeted=targeted, bounds=box, generator=generator)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        norm=norm_of([attack]),
        levels=levels_of([attack]),
        access=access_needed(attack, access_of(model)),
    ) as search:
        search.absorb(found)
        bisect(search, bisections)
        return search.result()


def bounded(attack: Attack, epsilon: float, *, norm: Norm | None = None) -> Attack:
    """Limit an attack to a radius.

    An adversarial beyond the radius is scaled down to it, as in adversarial training with DDN. It
    counts if it is still adversarial, but it no longer has the `confidence` of the attack.

    Args:
        attack: The attack.
        epsilon: The radius, in units of the inputs.
        norm: `l2` or `linf`; by default the attack's own.

    Returns:
        The combined attack.

    Raises:
        InputError: If the radius or the norm is not as described.
    """
    check_number("epsilon", epsilon, 0)
    check_attack(attack)
    norm = norm_of([attack]) if norm is None else norm
    geometry.check_ball(norm)
    return cast("Attack", partial(_bounded, attack=attack, epsilon=epsilon, norm=norm))


@known_as("bounded")
@limits_radius
@accepts_accelerated
def _bounded(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    attack: Attack,
    epsilon: float,
    norm: Norm,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    box = _folded(model, inputs, labels, bounds, mask)
    found = attack(model, inputs, labels, targeted=targeted, bounds=box, generator=generator)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        norm=norm,
        radius_limit=epsilon,
        levels=levels_of([attack]),
        access=access_needed(attack, access_of(model)),
    ) as search:
        problem = search.problem
        radii = problem.radii() * problem.unit
        moves = geometry.project_onto_ball(found.adversarials - problem.origins, radii, norm)
        scaled = problem.feasible_(problem.origins + moves)
        # An adversarial within the radius does not change: rounding could undo its success.
        measured = geometry.distances(found.adversarials, problem.origins, norm)
        gaps = measured_gaps(problem.origins, found.adversarials)
        within = least_radii(measured, gaps, norm) <= epsilon
        search.adversarial_at(torch.where(per_sample(within, scaled), found.adversarials, scaled))
        if problem.levels is not None:
            # Rounding may move inputs that are misclassified from the start out of the radius.
            search.adversarial_at(problem.origins)
        return search.result()


COMBINATORS: dict[str, Callable[..., Attack]] = {
    "bounded": bounded,
    "with_bisection": with_bisection,
    "with_restarts": with_restarts,
    "worst_case": worst_case,
}
"""The combinators by name; in a spec their attacks are specs in quotes."""
