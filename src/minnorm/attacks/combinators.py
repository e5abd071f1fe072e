"""Attacks made of attacks."""

import inspect
from collections.abc import Callable, Sequence
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
from minnorm.attacks.search import search
from minnorm.geometry import Bounds, Norm


def worst_case(attacks: Sequence[Attack], *, norm: Norm = "l2") -> Attack:
    """Gives the attack that runs several, and keeps the closest adversarial of each sample.

    The paper's row 'All'. It costs what they cost together.

    Args:
        attacks: The attacks, at least one.
        norm: The norm by which the closest is chosen.

    Raises:
        ValueError: If there are none.
    """
    if not attacks:
        raise ValueError("worst_case needs at least one attack.")
    return cast("Attack", partial(_worst_case, attacks=tuple(attacks), norm=norm))


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
        ValueError: If the attack begins at the same point each time.
    """
    checks.check_count("restarts", restarts)
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
        model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator
    ) as state:
        for number in range(restarts):
            starts = None if number == 0 else _random_starts(state.incumbent, state.noise(), bounds)
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


def _random_starts(incumbent: Incumbent, noise: Tensor, bounds: Bounds) -> Tensor:
    found = incumbent.result()
    far = torch.full_like(found.distances, geometry.span(bounds))
    lengths = torch.where(found.success, found.distances, far)
    moves = geometry.on_sphere(noise.expand_as(found.adversarials), lengths)
    return (incumbent.origins + moves).clamp_(*bounds)


def with_bisection(attack: Attack, bisections: int = 10) -> Attack:
    """Gives the attack that ends on the boundary, by forward passes.

    What another attack finds is moved towards the input as long as it stays adversarial.

    Args:
        attack: The attack.
        bisections: Forward passes; each halves what is uncertain.
    """
    checks.check_count("bisections", bisections)
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
        model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator
    ) as state:
        state.absorb(found)
        bisect(state, bisections)
        return state.result()


def bounded(attack: Attack, epsilon: float, *, norm: Norm = "l2") -> Attack:
    """Gives the attack that succeeds within a radius only.

    What another attack finds farther away is scaled down to the radius, as adversarial training
    with DDN does, and counts if it still is adversarial there.

    Args:
        attack: The attack.
        epsilon: The radius, in units of the inputs.
        norm: `l2` or `linf`.

    Raises:
        ValueError: If the radius or the norm is not as described.
    """
    checks.check_number("epsilon", epsilon, 0)
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
        model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator, norm=norm
    ) as state:
        radii = torch.full_like(state.incumbent.distances, epsilon)
        moves = geometry.into_ball(found.adversarials - state.origins, radii, norm)
        state.judge((state.origins + moves).clamp_(*bounds))
        return state.result()


COMBINATORS: dict[str, Callable[..., Attack]] = {
    "bounded": bounded,
    "with_bisection": with_bisection,
    "with_restarts": with_restarts,
    "worst_case": worst_case,
}
"""The combinators by name; in a spec their attacks are specs in quotes."""
