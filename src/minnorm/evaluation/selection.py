"""Selections of records: records in, records out, in any order."""

import math
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minnorm import specs
from minnorm.attacks import load_attack
from minnorm.attacks.composition import attack_name
from minnorm.errors import InputError
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.records import SCHEMA, Records, warn_if_incomplete
from minnorm.geometry import NORM_ORDERS, Norm, check_norm
from minnorm.radii import inscribed_radius

WORST_CASE = "worst case"
"""The name of the attack in the records that `closest_records` returns."""


def of_attack(records: Records, attack: str) -> Records:
    """Return the records of one attack, by its name or any form of its spec.

    Raises:
        InputError: If there are none; the message lists the available attacks.
    """
    names = records.column("attack").unique().to_pylist()
    name = attack
    if name not in names:
        forms = (attack, _full_spec(attack))
        same = [one for form in forms for one in names if specs.same(one, form)]
        name = same[0] if same else specs.choose(attack, names, "attack", "in these records")
    return records.filter(pc.equal(records.column("attack"), name))


def _full_spec(spec: str) -> str:
    """Return a spec as records have it: combinators add the parameters that were left out."""
    try:
        return attack_name(load_attack(spec))
    except InputError:  # a name that the user chose
        return spec


def closest_records(records: Records, norm: Norm | None = None) -> Records:
    """Return for each (sample, target) the record of the closest adversarial over all attacks.

    This is the paper's row 'All'. The costs of the attacks are added up. An attack within a radius
    contributes its successes; beyond the largest radius limit of all attacks nothing is known.

    Args:
        records: The records of several attacks.
        norm: The norm in which to compare; by default the one that all attacks minimize.

    Raises:
        InputError: If an attack lacks a record that another attack has, or the attacks minimize
            several norms and none is given.
    """
    norm = norm_of_records(records, norm)
    keys = np.array(keys_of(records))
    if len(keys) == 0:
        return records
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.reshape(-1)
    counts = np.bincount(group)
    if (counts != len(records.column("attack").unique())).any():
        raise InputError(
            "not every attack has a record of every sample: the closest over part of them would be "
            "misleading. Finish the run first."
        )
    order = np.lexsort((values_of(records, norm), group))
    first = order[np.append(0, np.cumsum(counts)[:-1])]
    best = records.take(pa.array(first))
    columns = {name: best.column(name) for name in SCHEMA.names}
    columns["attack"] = pa.array([WORST_CASE] * len(best))
    columns["norm"] = pa.array([norm] * len(best))
    limits = np.zeros(len(best))
    np.maximum.at(limits, group, limits_of(records, norm))
    columns["radius_limit"] = pa.array(limits, mask=np.isinf(limits))
    for name in ("forwards", "backwards", "seconds"):
        columns[name] = pa.array(np.bincount(group, weights=values_of(records, name)))
    return pa.table(columns, schema=records.schema)


def hardest_target(records: Records, norm: Norm | None = None) -> Records:
    """Return for each sample and attack the farthest target; failures are farther than all others.

    This is the column 'least likely' of the paper's tables 2 to 4.
    """
    return _one_target(records, -distances_of(records, norm))


def closest_target(records: Records, norm: Norm | None = None) -> Records:
    """Return for each sample and attack the closest target.

    With all other classes as targets, this is what an untargeted attack searches for. The costs are
    those of the attack on that target alone.
    """
    return _one_target(records, distances_of(records, norm))


def _one_target(records: Records, order: Array) -> Records:
    attacks, attack = np.unique(np.array(records.column("attack").to_pylist()), return_inverse=True)
    if len(attacks) == 0:
        return records
    indices = values_of(records, "index")
    ranked = np.lexsort((order, indices, attack))
    pairs = np.stack([attack[ranked], indices[ranked]], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    return records.take(pa.array(ranked[first]))


def breakdown(records: Records, norm: Norm | None = None) -> dict[str, Records]:
    """Return the records for each row of a results table, by the name of the row.

    There is a row for each attack, in the order of the records. Several attacks have a row for the
    closest records of all, in each norm that one of them minimizes. If samples have several
    targets, rows for the hardest and the closest target of each follow.

    Args:
        records: The records of one attack or several.
        norm: The norm of the distances; by default each attack's own.
    """
    names = records.column("attack").unique().to_pylist()
    parts = {name: of_attack(records, name) for name in names}
    if len(parts) > 1:
        norms = [norm] if norm is not None else records.column("norm").unique().to_pylist()
        for one in norms:
            label = WORST_CASE if len(norms) == 1 else f"{WORST_CASE} in {one}"
            # An attack may have that name.
            parts[label if label not in parts else f"{label} of all"] = closest_records(
                records, one
            )
    for name, part in list(parts.items()):
        hardest = hardest_target(part, norm)
        if len(hardest) < len(part):
            parts[f"{name}, hardest target"] = hardest
            parts[f"{name}, closest target"] = closest_target(part, norm)
    return parts


def norm_of_records(records: Records, norm: Norm | None = None) -> Norm:
    """Return the norm in which to measure records: the given one, or else the attacks' own.

    Args:
        records: The records.
        norm: The norm to use; by default that of the attacks, and `l2` if there are no records.

    Raises:
        InputError: If none is given, and the attacks minimize several.
    """
    if norm is not None:
        return check_norm(norm)
    found = records.column("norm").unique().to_pylist()
    if len(found) > 1:
        raise InputError(
            f"the attacks of these records minimize {' and '.join(found)}: give the norm to "
            f"measure in, for example norm={found[0]!r}, or choose one attack with of_attack."
        )
    return cast("Norm", found[0]) if found else "l2"


def distances_of(records: Records, norm: Norm | None) -> Array:
    """Return the distances in a norm, or each in the norm that its attack minimizes."""
    if norm is not None:
        return values_of(records, check_norm(norm))
    own = np.array(records.column("norm").to_pylist(), dtype=object)
    found = np.full(len(records), math.nan)
    for one in NORM_ORDERS:
        found = np.where(own == one, values_of(records, one), found)
    return found


def limits_of(records: Records, norm: Norm) -> Array:
    """Return the radius of each record, in a norm, beyond which its attack did not search.

    It is infinite for an attack that searches at any radius. A limit in another norm counts as far
    as it implies one in this norm, see `minnorm.radii.inscribed_radius`.
    """
    limits = pc.fill_null(records.column("radius_limit"), math.inf).to_numpy()
    own = np.array(records.column("norm").to_pylist(), dtype=object)
    implied = np.full(len(records), math.inf)
    for one in NORM_ORDERS:
        limited = (own == one) & np.isfinite(limits)
        implied[limited] = limits[limited] * inscribed_radius(1.0, one, norm)
    return implied


def values_of(records: Records, column: str) -> Array:
    """Return a column of numbers or truth values."""
    warn_if_incomplete(records)
    values: Array = records.column(column).to_numpy()
    return values


def keys_of(records: Records) -> list[tuple[int, int]]:
    """Return sample and target of each record; -1 stands for no target."""
    targets = pc.fill_null(records.column("target"), -1)
    return list(zip(records.column("index").to_pylist(), targets.to_pylist(), strict=True))
