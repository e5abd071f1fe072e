"""Choices of records: records in, records out, in any order."""

import math
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minnorm import specs
from minnorm.attacks import attack_name, load_attack
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.records import SCHEMA, Records
from minnorm.geometry import NORM_ORDERS, Norm, check_norm

WORST_CASE = "worst case"
"""The name of the attack in the records that `worst_case` gives."""


def of_attack(records: Records, attack: str) -> Records:
    """Gives the records of one attack, by its name or any writing of its spec.

    Raises:
        ValueError: If there are none; the message lists the attacks that there are.
    """
    names = records.column("attack").unique().to_pylist()
    name = attack
    if name not in names:
        writings = (attack, _in_full(attack))
        same = [one for writing in writings for one in names if specs.same(one, writing)]
        name = same[0] if same else specs.choose(attack, names, "attack in these records called")
    return records.filter(pc.equal(records.column("attack"), name))


def _in_full(spec: str) -> str:
    """Writes the spec of an attack as records do; combinators fill in what was left out."""
    try:
        return attack_name(load_attack(spec))
    except ValueError:  # a name of the user's own
        return spec


def worst_case(records: Records, norm: Norm | None = None) -> Records:
    """Gives for each (sample, target) the record of the closest adversarial over all attacks.

    The paper's row 'All'. What the attacks spent is added up.

    Args:
        records: The records of several attacks.
        norm: The norm in which the closest is chosen; by default the one of all attacks.

    Raises:
        ValueError: If an attack has no record of a sample that another one has, or the attacks
            minimise several norms and none is given.
    """
    norm = norm_of_records(records, norm)
    keys = np.array(keys_of(records))
    if len(keys) == 0:
        return records
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.reshape(-1)
    counts = np.bincount(group)
    if (counts != len(records.column("attack").unique())).any():
        raise ValueError(
            "not every attack has a record of every sample: a worst case over part of them would "
            "mislead. Finish the run first."
        )
    order = np.lexsort((values_of(records, norm), group))
    first = order[np.append(0, np.cumsum(counts)[:-1])]
    best = records.take(pa.array(first))
    columns = {name: best.column(name) for name in SCHEMA.names}
    columns["attack"] = pa.array([WORST_CASE] * len(best))
    columns["norm"] = pa.array([norm] * len(best))
    for name in ("forwards", "backwards", "seconds"):
        columns[name] = pa.array(np.bincount(group, weights=values_of(records, name)))
    return pa.table(columns, schema=SCHEMA)


def hardest_target(records: Records, norm: Norm | None = None) -> Records:
    """Gives for each sample and attack the target that lies farthest, a failure first of all.

    The paper's column 'least likely' of tables 2 to 4.
    """
    return _one_target(records, -distances_of(records, norm))


def closest_target(records: Records, norm: Norm | None = None) -> Records:
    """Gives for each sample and attack the target that lies closest.

    With all other classes as targets that is what an untargeted attack looks for; the costs are
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
    """Gives the parts of which a results table has a row each, by name.

    One for each attack, in the order of the records; with several attacks the worst case over
    them, in each norm that one of them minimises; and where samples were attacked towards several
    targets, of each of these the hardest and the closest target too.

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
            # An attack may be called so.
            parts[label if label not in parts else f"{label} of all"] = worst_case(records, one)
    for name, part in list(parts.items()):
        hardest = hardest_target(part, norm)
        if len(hardest) < len(part):
            parts[f"{name}, hardest target"] = hardest
            parts[f"{name}, closest target"] = closest_target(part, norm)
    return parts


def norm_of_records(records: Records, norm: Norm | None = None) -> Norm:
    """Gives the norm to measure records in: the one asked for, or else the attacks' own.

    Args:
        records: The records.
        norm: What was asked for; without it, and without records, it is `l2`.

    Raises:
        ValueError: If none was, and the attacks minimise several.
    """
    if norm is not None:
        return check_norm(norm)
    found = records.column("norm").unique().to_pylist()
    if len(found) > 1:
        raise ValueError(
            f"the attacks of these records minimise {' and '.join(found)}: say in which norm to "
            f"measure, for example norm={found[0]!r}, or choose one with of_attack."
        )
    return cast("Norm", found[0]) if found else "l2"


def distances_of(records: Records, norm: Norm | None) -> Array:
    """Gives the distances in a norm, or each in the norm that its attack minimises."""
    if norm is not None:
        return values_of(records, check_norm(norm))
    own = np.array(records.column("norm").to_pylist(), dtype=object)
    found = np.full(len(records), math.nan)
    for one in NORM_ORDERS:
        found = np.where(own == one, values_of(records, one), found)
    return found


def values_of(records: Records, column: str) -> Array:
    """Gives a column of numbers or truth values."""
    values: Array = records.column(column).to_numpy()
    return values


def keys_of(records: Records) -> list[tuple[int, int]]:
    """Names each record by its sample and target; -1 stands for no target."""
    targets = pc.fill_null(records.column("target"), -1)
    return list(zip(records.column("index").to_pylist(), targets.to_pylist(), strict=True))
