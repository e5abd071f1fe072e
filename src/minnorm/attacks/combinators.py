"""Attacks made of attacks."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.bisection import bisect
from minnorm.attacks.contract import Attack, AttackResult, Incumbent, Model
from minnorm.attacks.gradients import ordinary
from minnorm.attacks.search import Search, search
from minnorm.geometry import Bounds, Norm, per_sample


def norm_of(attacks: Sequence[Callable[..., AttackResult]]) -> Norm:
    """Gives the norm that attacks minimise: the default of their `norm`, or `l2` for one without.

    Raises:
        ValueError: If it is unknown, or not the same for all.
    """
    found = list(dict.fromkeys(_norm_of_one(attack) for attack in attacks))
    if len(found) > 1:
        raise ValueError(
            f"the attacks minimise {' and '.join(found)}: say in which norm to compare them, for "
            f"example norm={found[0]!r}."
        )
    return found[0]


def _norm_of_one(attack: Callable[..., AttackResult]) -> Norm:
    try:
        parameters = inspect.signature(attack).parameters
    except (TypeError, ValueError):  # not every callable shows what it takes
        return "l2"
    if "norm" in parameters:
        try:
            return geometry.check_norm(parameters["norm"].default)
        except ValueError as error:
            raise ValueError(
                "the parameter norm of an attack tells by its default in which norm to measure; "
                f"that of {getattr(attack, '__name__', attack)!s} does not: {error}"
            ) from error
    return _norm_of_one(parameters["attack"].default) if "attack" in parameters else "l2"


def worst_case(attacks: Iterable[Attack], *, norm: Norm | None = None) -> Attack:
    """Gives the attack that runs several, and keeps the closest adversarial of each sample.

    The paper's row 'All'. It costs what they cost together.

    Args:
        attacks: The attacks, at least one.
        norm: The norm by which the closest is chosen; by default the attacks' own.

    Raises:
        ValueError: If there are none, one is no function, the norm is unknown, or they minimise
            several norms and none is given.
    """
    listed = (
        isinstance(attacks, Iterable) and not isinstance(attacks, str) and not callable(attacks)
    )
    several = tuple(attacks) if listed else ()
    if not several:
        raise ValueError(f"attacks={attacks!r}: expected a list of at least one attack.")
    for attack in several:
        checks.check_attack(attack)
    norm = norm_of(several) if norm is None else geometry.check_norm(norm)
    return cast("Attack", partial(_worst_case, attacks=several, norm=norm))


def _worst_case(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    attacks: Sequence[Attack],
    norm: Norm,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    checks.check_problem(model, inputs, labels, bounds)
    incumbent = Incumbent(ordinary(inputs), norm)
    for attack in attacks:
        found = attack(model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator)
        incumbent.offer(found.adversarials, found.success)
    return incumbent.result()


def with_restarts(attack: Callable[..., AttackResult], restarts: int = 5) -> Attack:
    """Gives the attack that runs another one several times, and keeps the closest adversarials.

    An attack with a parameter `restarts` is given it. One that takes `starts` is run from the
    inputs at first and then from random points, as far away as the closest adversarial so far (the
    same direction for all samples of the batch).

    Args:
        attack: The attack.
        restarts: How often to run it.

    Raises:
        ValueError: If the attack is no function, or begins at the same point each time.
    """
    checks.check_count("restarts", restarts)
    checks.check_attack(attack)
    parameters = inspect.signature(attack).parameters
    if "restarts" in parameters:
        return cast("Attack", partial(attack, restarts=restarts))
    if "starts" not in parameters:
        raise ValueError(
            "this attack begins at the inputs each time: restarts would find the same again. "
            "with_restarts takes attacks that have a parameter 'restarts' or 'starts'."
        )
    return cast("Attack", partial(_with_restarts, attack=attack, restarts=restarts))


def _with_restarts(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    attack: Callable[..., AttackResult],
    restarts: int,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        norm=norm_of([attack]),
    ) as state:
        for number in range(restarts):
            starts = None if number == 0 else _random_starts(state)
            found = attack(
                model,
                state.origins,
                state.labels,
                targeted=targeted,
                bounds=bounds,
                generator=state.generator,
                starts=starts,
            )
            state.absorb(found)
        return state.result()


def _random_starts(state: Search) -> Tensor:
    lengths = state.incumbent.distances
    lengths = torch.where(lengths.isfinite(), lengths, state.unit)
    noise = state.noise().expand_as(state.origins)
    moves = geometry.onto_ball(noise, lengths, state.norm)
    return (state.origins + moves).clamp_(*state.bounds)


def with_bisection(attack: Attack, bisections: int = 10) -> Attack:
    """Gives the attack that ends on the boundary, by forward passes.

    What another attack finds is moved towards the input as long as it stays adversarial. It is
    then no longer on the grid of that attack's `levels`, nor has it its `confidence`.

    Args:
        attack: The attack.
        bisections: Forward passes; each halves what is uncertain.

    Raises:
        ValueError: If the attack is no function.
    """
    checks.check_count("bisections", bisections)
    checks.check_attack(attack)
    return cast("Attack", partial(_with_bisection, attack=attack, bisections=bisections))


def _with_bisection(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    attack: Attack,
    bisections: int,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    found = attack(model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator)
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        norm=norm_of([attack]),
    ) as state:
        state.absorb(found)
        bisect(state, bisections)
        return state.result()


def bounded(attack: Attack, epsilon: float, *, norm: Norm | None = None) -> Attack:
    """Gives the attack that succeeds within a radius only.

    What another attack finds farther away is scaled down to the radius, as adversarial training
    with DDN does, and counts if it still is adversarial there. What is scaled down is no longer on
    the grid of an attack's `levels`, nor has it its `confidence`.

    Args:
        attack: The attack.
        epsilon: The radius, in units of the inputs.
        norm: `l2` or `linf`; by default the attack's own.

    Raises:
        ValueError: If the radius or the norm is not as described.
    """
    checks.check_number("epsilon", epsilon, 0)
    checks.check_attack(attack)
    norm = norm_of([attack]) if norm is None else norm
    geometry.check_ball(norm)
    return cast("Attack", partial(_bounded, attack=attack, epsilon=epsilon, norm=norm))


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
    generator: Generator | None = None,
) -> AttackResult:
    found = attack(model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator)
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        norm=norm,
        within=epsilon,
    ) as state:
        radii = state.radii() * state.unit
        moves = geometry.into_ball(found.adversarials - state.origins, radii, norm)
        scaled = (state.origins + moves).clamp_(*bounds)
        # What is within the radius stays exactly as it is: rounding could undo it.
        within = geometry.distances(found.adversarials, state.origins, norm) <= epsilon
        state.judge(torch.where(per_sample(within, scaled), found.adversarials, scaled))
        return state.result()


COMBINATORS: dict[str, Callable[..., Attack]] = {
    "bounded": bounded,
    "with_bisection": with_bisection,
    "with_restarts": with_restarts,
    "worst_case": worst_case,
}
"""The combinators by name; in a spec their attacks are specs in quotes."""
