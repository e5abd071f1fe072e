"""The attacks of a run, measured on the same samples in the same order."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain
from typing import Any

import numpy as np

from minnorm import specs
from minnorm.access import Access
from minnorm.attacks.engine.tournaments import FORWARD_COST
from minnorm.errors import InputError
from minnorm.evaluation import Records, norm_of_records, of_attack
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import is_correct
from minnorm.evaluation.reaches import fixed_radii_in, limits_of
from minnorm.evaluation.records import are_targeted, attacks_in
from minnorm.evaluation.selection import keys_of, values_of
from minnorm.geometry import Norm
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import are_queries, attack_text, counted, needs_gradients

_MORE_THAN_TARGETS = 2**20
"""A number above that of any target class."""


@dataclass(frozen=True)
class MeasuredAttack:
    """An attack on the correctly classified samples that all attacks of the run have records of.

    The arrays have an entry for each sample, or for each pair of a sample and a target, in the same
    order for all attacks of a run.

    Attributes:
        name: Its name, as it is shown.
        head: The name of the function in its spec, for example `ddn`; empty if it cannot be read.
        arguments: The arguments in its spec.
        norm: The norm that it minimizes, or in which it is measured.
        limit: The radius beyond which it does not search, infinite if there is none.
        searched: The radii within which it searches for any adversarial; `None` if it searches for
            the closest one.
        cost: The mean cost per sample, in gradients; a forward pass alone costs 0.4.
        access: What it uses of the model.
        queries_only: Whether it made forward passes and no backward pass, and is not known to need
            gradients.
        distances: The distances in this norm, infinite where it failed.
        reported: Whether the attack itself says that it succeeded.
        targeted: Whether the entries are for pairs of a sample and a target.
    """

    name: str
    head: str
    arguments: Mapping[str, Any]
    norm: Norm
    limit: float
    searched: tuple[float, ...] | None
    cost: float
    access: Access
    queries_only: bool
    distances: Array
    reported: Array
    targeted: bool

    def cases(self) -> str:
        """Return the number of entries in words, for example `199 samples`."""
        noun = ("pair of a sample and a target", "pairs of a sample and a target")
        return counted(len(self.distances), *(noun if self.targeted else ("sample",)))


def measured_attacks(run: LabeledRun, norm: Norm | None = None) -> list[MeasuredAttack]:
    """Return the attacks of a run, in the order of its records.

    Args:
        run: The run; if it is incomplete, only what all attacks have records of is used.
        norm: The norm of the distances; by default each attack's own.
    """
    records = run.run.records
    names = attacks_in(records)
    parts = {name: of_attack(records, name) for name in names}
    keys = {name: _keys(part) for name, part in parts.items()}
    first = keys[names[0]]
    if all(np.array_equal(first, one) for one in keys.values()):  # the usual case
        positions = dict.fromkeys(names, np.arange(len(first)))
    else:
        common = reduce(np.intersect1d, keys.values())
        positions = {name: _positions(one, common) for name, one in keys.items()}
    written = {
        entry["name"]: entry["spec"] for entry in run.run.manifest["configuration"]["attacks"]
    }
    used = run.accesses
    return [
        _measured(
            part,
            name,
            written.get(name, name),
            used.get(name, "gradients"),
            positions[name],
            norm=norm,
        )
        for name, part in parts.items()
    ]


def in_one_norm(attacks: Sequence[MeasuredAttack]) -> dict[Norm, list[MeasuredAttack]]:
    """Return the attacks by the norm that they minimize."""
    groups: dict[Norm, list[MeasuredAttack]] = {}
    for attack in attacks:
        groups.setdefault(attack.norm, []).append(attack)
    return groups


def closer(one: MeasuredAttack, other: MeasuredAttack, factor: float) -> Array:
    """Return on which samples one attack found a clearly closer adversarial than another.

    For an attack within a radius the distance means little. Then the question is whether there is
    an adversarial within the radius.

    Args:
        one: The one attack.
        other: The other attack, of the same norm.
        factor: How much larger the distance of the other one must be.
    """
    limit = compared_within(one, other)
    if math.isnan(limit):
        return np.full(len(other.distances), False)
    if math.isinf(limit):
        return one.distances * factor < other.distances
    return (one.distances <= limit * 1.001) & (other.distances > limit * factor)


def compared_within(one: MeasuredAttack, other: MeasuredAttack) -> float:
    """Return the radius within which one attack may have found an adversarial that another missed.

    It is infinite if the distances themselves can be compared, and NaN if nothing can: an attack
    that searches for any adversarial within a radius misses none at smaller radii.
    """
    limit = min(one.limit, other.limit)
    if other.searched is None:
        return limit
    return min((radius for radius in other.searched if radius >= limit), default=math.nan)


def closest_of(attacks: Sequence[MeasuredAttack]) -> MeasuredAttack:
    """Return what several attacks of the same norm have found together, with the closest of all."""
    return replace(
        attacks[0],
        limit=max(attack.limit for attack in attacks),
        searched=_searched_by(attacks),
        distances=np.min([attack.distances for attack in attacks], axis=0),
    )


def _searched_by(attacks: Sequence[MeasuredAttack]) -> tuple[float, ...] | None:
    """Return the radii at which something is known of all attacks together; `None` for all."""
    radii = [attack.searched for attack in attacks if attack.searched is not None]
    return tuple(sorted({*chain(*radii)})) if len(radii) == len(attacks) else None


def _measured(
    part: Records, name: str, spec: str, access: Access, positions: Array, *, norm: Norm | None
) -> MeasuredAttack:
    norm = norm_of_records(part, norm)
    chosen = positions[is_correct(part)[positions]]
    forwards, backwards = (float(values_of(part, one).mean()) for one in ("forwards", "backwards"))
    try:
        parsed = specs.parse(spec)
    except InputError:  # a name that the user chose
        parsed = specs.Spec("")
    return MeasuredAttack(
        name=attack_text(name),
        head=parsed.head,
        arguments=parsed.arguments,
        norm=norm,
        limit=float(limits_of(part, norm).min()),
        searched=fixed_radii_in(part, norm),
        cost=FORWARD_COST * forwards + (1 - FORWARD_COST) * backwards,
        access=access,
        queries_only=are_queries(forwards, backwards, gradients=needs_gradients(spec)),
        distances=values_of(part, norm)[chosen],
        reported=values_of(part, "reported")[chosen],
        targeted=are_targeted(part),
    )


def _keys(part: Records) -> Array:
    """Return a number for each pair of a sample and a target."""
    samples, targets = keys_of(part)
    keys: Array = samples * _MORE_THAN_TARGETS + targets + 1
    return keys


def _positions(keys: Array, wanted: Array) -> Array:
    """Return where each of the wanted keys, which are sorted, is among the keys."""
    order = np.argsort(keys, kind="stable")
    return order[np.searchsorted(keys[order], wanted)]
