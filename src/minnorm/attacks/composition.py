"""What an attack is made of: the one place that reads an attack as a tree of parts.

An attack is a function, a `functools.partial` that presets hyper-parameters, or a combination of
attacks: a partial whose preset arguments are attacks themselves.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeGuard, TypeVar

from torch import nn

from minnorm import geometry, specs
from minnorm.access import ACCESSES, Access
from minnorm.attacks.contract import AttackResult, is_marked, marked_need
from minnorm.errors import InputError
from minnorm.geometry import Norm
from minnorm.models.names import model_name
from minnorm.radii import inscribed_radius

GIVEN = ("model", "inputs", "labels", "targeted", "bounds", "mask", "generator", "starts")
"""The arguments that the caller of an attack passes; they cannot be preset."""

_SPEC_NAME = "spec_name"

_LIMITS_RADIUS = "limits_radius"

_Function = TypeVar("_Function", bound=Callable[..., AttackResult])


class Reach(NamedTuple):
    """How far an attack searches in a norm, and for what.

    Attributes:
        limit: The radius beyond which it does not search.
        closest: The radius up to which it searches for the closest adversarial.
        radii: The radii within which it searches for any adversarial.
    """

    limit: float
    closest: float
    radii: frozenset[float] = frozenset()


_ANYWHERE = Reach(math.inf, math.inf)
"""The reach of an attack that searches for the closest adversarial at any radius."""


@dataclass(frozen=True)
class Part:
    """An attack, and the attacks inside it.

    Attributes:
        attack: The attack, as it was given.
        function: The function that is called.
        arguments: Its preset arguments in their order; an attack among them is a `Part`, a list of
            attacks a tuple of `Part`s.
    """

    attack: Callable[..., Any]
    function: Callable[..., Any]
    arguments: Mapping[str, Any]

    @property
    def parts(self) -> list["Part"]:
        """The attacks among the arguments."""
        return [part for value in self.arguments.values() for part in _parts_in(value)]

    def walk(self) -> Iterator["Part"]:
        """Yield this attack, then all attacks inside it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters with their defaults, preset ones included; empty if it shows none."""
        return _parameters_of(self.attack)

    @property
    def name(self) -> str:
        """The attack as a spec."""
        head = getattr(self.function, _SPEC_NAME, None)
        if head is None:
            head = getattr(self.function, "__name__", type(self.function).__name__)
        return specs.format_spec(
            str(head), {key: _named(one) for key, one in self.arguments.items()}
        )


def tree(attack: Callable[..., Any]) -> Part:
    """Read an attack as a tree of parts."""
    if not isinstance(attack, partial):
        return Part(attack, attack, {})
    inner = tree(attack.func)  # a partial of a partial that has attributes of its own
    given = {**_positional(attack.func, attack.args), **attack.keywords}
    arguments = {**inner.arguments, **{key: _read(one) for key, one in given.items()}}
    return Part(attack, inner.function, arguments)


def _positional(function: Callable[..., Any], values: Sequence[object]) -> dict[str, object]:
    """Return preset positional arguments by the names of their parameters."""
    names = list(_parameters_of(function))
    names += [f"argument_{number}" for number in range(len(names), len(values))]
    return dict(zip(names, values, strict=False))


def _parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # some callables have no signature
        return {}


def _parts_in(value: object) -> list[Part]:
    """Return the attacks in a preset argument: itself, those of a list, or none."""
    several = value if isinstance(value, tuple) else (value,)
    return [one for one in several if isinstance(one, Part)]


def _read(value: object) -> object:
    if _may_be_attack(value):
        return tree(value)
    if isinstance(value, list | tuple) and value and all(map(_may_be_attack, value)):
        return tuple(tree(one) for one in value)
    return value


def _may_be_attack(value: object) -> TypeGuard[Callable[..., Any]]:
    return callable(value) and not isinstance(value, nn.Module)  # a surrogate is no attack


def _named(value: object) -> object:
    if isinstance(value, Part):
        return value.name
    if isinstance(value, tuple) and any(isinstance(one, Part) for one in value):
        return [one.name for one in value]
    if isinstance(value, list | tuple) and any(isinstance(one, nn.Module) for one in value):
        return [model_name(one) if isinstance(one, nn.Module) else one for one in value]
    return model_name(value) if isinstance(value, nn.Module) else value


def known_as(name: str) -> Callable[[_Function], _Function]:
    """Decorate a function whose name in specs differs from its name in Python."""

    def decorate(function: _Function) -> _Function:
        setattr(function, _SPEC_NAME, name)
        return function

    return decorate


def limits_radius(function: _Function) -> _Function:
    """Decorate a combination whose `epsilon` limits its attacks, without changing their goal.

    Any other attack with an `epsilon` searches for any adversarial within it.
    """
    setattr(function, _LIMITS_RADIUS, True)
    return function


def attack_name(attack: Callable[..., Any]) -> str:
    """Return the name of an attack as a spec: `ddn(steps=300)` for `partial(ddn, steps=300)`."""
    return tree(attack).name


def takes_accelerated(attack: Callable[..., Any]) -> bool:
    """Return whether an attack may be given an accelerated model.

    It may if its function and those of all attacks inside it are marked with
    `minnorm.attacks.contract.accepts_accelerated`.
    """
    return all(is_marked(part.function) or is_marked(part.attack) for part in tree(attack).walk())


def access_needed(attack: Callable[..., Any], offered: Access = "gradients") -> Access:
    """Return what an attack needs of a model.

    A function is marked with `minnorm.attacks.contract.needs`, or has a parameter `access`. A
    combination needs what the most demanding of its attacks needs. Any other function needs
    gradients.

    Args:
        attack: The attack.
        offered: What the model offers: an attack whose `access` is `None` uses all of it.
    """
    return _access_needed(tree(attack), offered)


def _access_needed(part: Part, offered: Access) -> Access:
    need = marked_need(part.attack) or marked_need(part.function)
    if need is not None:
        return need
    if "access" in part.parameters:
        chosen = part.parameters["access"].default
        return chosen if chosen in ACCESSES else offered
    inside = [_access_needed(one, offered) for one in part.parts]
    return most_demanding(inside) if inside else "gradients"


def most_demanding(accesses: Iterable[Access]) -> Access:
    """Return the access that includes all others; `decisions` if there are none."""
    return min(accesses, key=ACCESSES.index, default="decisions")


def check_presets(attack: Callable[..., Any]) -> None:
    """Check that an attack does not preset an argument that the evaluation passes to it.

    Raises:
        InputError: If the attack, or an attack inside it, presets such an argument.
    """
    for part in tree(attack).walk():
        taken = [name for name in part.arguments if name in GIVEN]
        name = attack_name(part.function)
        if "starts" in taken:
            raise InputError(
                f"{name}: starts belong to the inputs of one batch, but an evaluation has many "
                "batches: call the attack directly, with its starts."
            )
        if taken:
            instead = " For targeted attacks use targets='all'." if "targeted" in taken else ""
            raise InputError(
                f"{name}: {', '.join(taken)} cannot be preset: the evaluation sets it.{instead}"
            )


def radii_of(attack: Callable[..., Any]) -> list[Any]:
    """Return the preset radii (`epsilon`) of an attack and of all attacks inside it."""
    return [
        part.arguments["epsilon"] for part in tree(attack).walk() if "epsilon" in part.arguments
    ]


def radius_limit_of(attack: Callable[..., Any], norm: Norm) -> float | None:
    """Return the radius beyond which an attack does not search, `None` if it searches at any.

    An attack searches within a radius if it has a parameter `epsilon` whose value, preset or by
    default, is a number. An attack in a combination can only lower the limit; of a list of attacks
    the one with the largest limit counts.

    Args:
        attack: The attack.
        norm: The norm of the limit. A limit in another norm counts as far as it implies one in
            this norm, see `minnorm.radii.inscribed_radius`.
    """
    limit = _reach(tree(attack), norm).limit
    return limit if math.isfinite(limit) else None


def fixed_radii_of(attack: Callable[..., Any], norm: Norm) -> tuple[float, ...] | None:
    """Return the radii within which an attack searches for any adversarial.

    Between them, its distances are upper bounds of the smallest ones.

    Args:
        attack: The attack.
        norm: The norm of the radii.

    Returns:
        The radii, ascending; none if it minimizes nothing and its radius is in another norm. `None`
        for an attack that searches for the closest adversarial, as far as it searches.
    """
    reach = _reach(tree(attack), norm)
    if reach.closest >= reach.limit:
        return None
    return tuple(sorted(reach.radii | ({reach.closest} if reach.closest > 0 else set())))


def _reach(part: Part, norm: Norm) -> Reach:
    lists = [[_reach(one, norm) for one in _parts_in(value)] for value in part.arguments.values()]
    inside = [_combined(one, max) for one in lists if one] or [_ANYWHERE]
    limit, closest, radii = _combined(inside, min)
    if "epsilon" in part.parameters:
        radius = part.parameters["epsilon"].default
        if isinstance(radius, Real) and not isinstance(radius, bool):
            own = _norm_of(part)
            limit = min(limit, inscribed_radius(float(radius), own, norm))
            if not _keeps_goal(part, own):
                closest, radii = 0.0, frozenset({float(radius)} if own == norm else ())
    return Reach(limit, min(closest, limit), frozenset(min(one, limit) for one in radii))


def _combined(reaches: Sequence[Reach], choose: Callable[[Iterable[float]], float]) -> Reach:
    """Return the largest reach of several attacks (`max`), or the smallest one (`min`)."""
    limits, closest, radii = zip(*reaches, strict=True)
    return Reach(choose(limits), choose(closest), frozenset().union(*radii))


def _keeps_goal(part: Part, norm: Norm) -> bool:
    """Return whether the radius of a part only limits attacks that minimize the same norm."""
    return hasattr(part.function, _LIMITS_RADIUS) and all(
        _norm_of(inner) == norm for inner in part.parts
    )


def norm_of(attacks: Sequence[Callable[..., Any]]) -> Norm:
    """Return the norm that attacks minimize: the default of their `norm`, `l2` for one without.

    Raises:
        InputError: If a norm is unknown, or not the same for all attacks.
    """
    found = list(dict.fromkeys(_norm_of(tree(attack)) for attack in attacks))
    if len(found) > 1:
        raise InputError(
            f"the attacks minimize {' and '.join(found)}: choose the norm that compares them, for "
            f"example norm={found[0]!r}."
        )
    return found[0]


def _norm_of(part: Part) -> Norm:
    if "norm" in part.parameters:
        try:
            return geometry.check_norm(part.parameters["norm"].default)
        except InputError as error:
            raise InputError(
                f"{part.name}: the default of the parameter norm must be the norm to measure in: "
                f"{error}"
            ) from error
    inside = part.parts
    return _norm_of(inside[0]) if inside else "l2"


def levels_of(attacks: Iterable[Callable[..., Any]]) -> int | None:
    """Return the levels that attacks round to, if all of them round to the same levels."""
    found = {_levels_of(tree(attack)) for attack in attacks}
    return found.pop() if len(found) == 1 else None


def _levels_of(part: Part) -> int | None:
    if "levels" in part.parameters:
        levels = part.parameters["levels"].default
        return int(levels) if isinstance(levels, Integral) else None
    return levels_of(inner.attack for inner in part.parts) if part.parts else None
