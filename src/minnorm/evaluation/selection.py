"""Selections of records: records in, records out, in any order."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minnorm import specs
from minnorm.attacks import load_attack
from minnorm.attacks.composition import attack_name
from minnorm.errors import InputError
from minnorm.evaluation.estimates import Array, count_distinct
from minnorm.evaluation.reaches import limits_of, radii_of_closest, rows_by_norm
from minnorm.evaluation.records import (
    SCHEMA,
    Records,
    attacks_in,
    check_distinct,
    norms_in,
    radii_as_text,
    warn_if_incomplete,
)
from minnorm.geometry import Norm, check_norm

WORST_CASE = "worst case"
"""The name of the attack in the records that `closest_records` returns."""


_HARDEST, _CLOSEST = ", hardest target", ", closest target"
"""What the names of rows of a single target end in."""


def is_name_of_row(name: str) -> bool:
    """Return whether a name has the form of a row that `breakdown` adds to those of the attacks.

    Args:
        name: The name of an attack.
    """
    name = name.strip().lower()
    return name.startswith(WORST_CASE) or name.endswith((_HARDEST, _CLOSEST))


def of_attack(records: Records, attack: str) -> Records:
    """Return the records of one attack, by its name, any form of its spec, or its name alone.

    `ddn` stands for `ddn(steps=300)` if no other attack of the records has that name.

    Raises:
        InputError: If there are none, or several have the name; the message lists the attacks.
    """
    found = matching_attacks(records, attack)
    if not found:
        specs.choose(attack, attacks_in(records), "attack", "in these records")  # raises the error
    if len(found) > 1:
        raise InputError(
            f"several attacks in these records are {attack!r}: {', '.join(found)}. Name one of "
            "them in full."
        )
    return records.filter(pc.equal(records.column("attack"), found[0]))


def matching_attacks(records: Records, attack: str) -> list[str]:
    """Return the names of the attacks that a text can stand for.

    Args:
        records: The records.
        attack: The name of an attack in the records, any form of its spec, or its name without
            parameters, which several attacks may have.
    """
    names = attacks_in(records)
    if attack in names:
        return [attack]
    forms = (attack.strip(), _full_spec(attack))
    for form in forms:
        if same := [name for name in names if specs.same(name, form)]:
            return same[:1]
    return [name for name in names if specs.name_of(name) in forms]


def _full_spec(spec: str) -> str:
    """Return a spec as records have it: combinators add the parameters that were left out."""
    try:
        return attack_name(load_attack(spec))
    except InputError:  # a name that the user chose
        return spec


def closest_records(records: Records, norm: Norm | None = None) -> Records:
    """Return for each (sample, target) the record of the closest adversarial over all attacks.

    This is the paper's row 'All'. The costs of the attacks are added up. An attack within a radius
    contributes its successes; beyond the largest radius limit of all attacks nothing is known. If
    all attacks search for any adversarial within a radius, distances are upper bounds, and
    accuracies are known at these radii.

    Args:
        records: The records of several attacks.
        norm: The norm in which to compare; by default the one that all attacks minimize.

    Raises:
        InputError: If an attack lacks a record that another attack has, or the attacks minimize
            several norms and none is given.
    """
    norm = norm_of_records(records, norm)
    if len(records) == 0:
        return records
    rows, group = _rows_of_pairs(records)
    best = _closest(records, rows, norm)
    columns = {name: best.column(name) for name in SCHEMA.names}
    columns["attack"] = pa.repeat(WORST_CASE, len(best))
    columns["norm"] = pa.repeat(norm, len(best))
    limits = limits_of(records, norm)[rows].max(axis=1)
    columns["radius_limit"] = pa.array(limits, mask=np.isinf(limits))
    radii = radii_of_closest(records, norm)
    text = pa.scalar(None if radii is None else radii_as_text(radii), pa.string())
    columns["fixed_radii"] = pa.repeat(text, len(best))
    for name in ("forwards", "backwards", "seconds"):
        columns[name] = pa.array(np.bincount(group, weights=values_of(records, name)))
    return pa.table(columns, schema=records.schema)


def closest_as_found(records: Records, norm: Norm | None = None) -> Records:
    """Return the records that `closest_records` chooses, with their own attacks and costs.

    Args:
        records: The records of several attacks.
        norm: The norm in which to compare; by default the one that all attacks minimize.

    Raises:
        InputError: As `closest_records`.
    """
    norm = norm_of_records(records, norm)
    if len(records) == 0:
        return records
    rows, _ = _rows_of_pairs(records)
    return _closest(records, rows, norm)


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


def _rows_of_pairs(records: Records) -> tuple[Array, Array]:
    """Return the positions of the records of each (sample, target), and the pair of each record.

    Returns:
        The positions, `[pairs attacks]`, and the number of the pair of each record. Pairs are
        ordered by sample and target.

    Raises:
        InputError: If an attack lacks a record that another attack has.
    """
    order, group = _grouped(keys_of(records))
    attacks = len(attacks_in(records))
    if (np.bincount(group) != attacks).any():
        raise InputError(
            "not every attack has a record of every sample: the closest over part of them would be "
            "misleading. Finish the run first, or choose one attack."
        )
    return order.reshape(-1, attacks), group


def _closest(records: Records, rows: Array, norm: Norm) -> Records:
    """Return the closest of the records at the positions in each row, the first of equal ones."""
    closest = np.argsort(values_of(records, norm)[rows], axis=1, kind="stable")[:, 0]
    return records.take(pa.array(rows[np.arange(len(rows)), closest]))


def _one_target(records: Records, ranks: Array) -> Records:
    """Return for each attack, by name, and sample the record of the lowest rank."""
    column = records.column("attack")
    names = pa.array(sorted(column.unique().to_pylist()), pa.string())
    attack = pc.index_in(column, value_set=names).to_numpy()
    order, group = _grouped((attack, values_of(records, "index")), ranks)
    first = np.diff(group[order], prepend=-1) > 0
    return records.take(pa.array(order[first]))


def breakdown(records: Records, norm: Norm | None = None) -> dict[str, Records]:
    """Return the records for each row of a results table, by the name of the row.

    There is a row for each attack, in the order of the records. Several attacks have a row for the
    closest records of all, in each norm that one of them minimizes. If samples have several
    targets, rows for the hardest and the closest target of each follow.

    Args:
        records: The records of one attack or several.
        norm: The norm of the distances; by default each attack's own.
    """
    names = attacks_in(records)
    parts = {name: of_attack(records, name) for name in names}
    if len(parts) > 1:
        norms = [norm] if norm is not None else norms_in(records)
        for one in norms:
            label = WORST_CASE if len(norms) == 1 else f"{WORST_CASE} in {one}"
            # An attack may have that name.
            parts[label if label not in parts else f"{label} of all"] = closest_records(
                records, one
            )
    for name, part in list(parts.items()):
        if count_distinct(values_of(part, "index")) < len(part):
            parts[name + _HARDEST] = hardest_target(part, norm)
            parts[name + _CLOSEST] = closest_target(part, norm)
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
    found = norms_in(records)
    if len(found) > 1:
        raise InputError(
            f"the attacks of these records minimize {' and '.join(found)}: give the norm to "
            f"measure in, for example norm={found[0]!r}, or choose one attack with of_attack."
        )
    return found[0] if found else "l2"


def distances_of(records: Records, norm: Norm | None) -> Array:
    """Return the distances in a norm, or each in the norm that its attack minimizes."""
    if norm is not None:
        return values_of(records, check_norm(norm))
    found = np.full(len(records), math.nan)
    for one, own in rows_by_norm(records).items():
        found[own] = values_of(records, one)[own]
    return found


def values_of(records: Records, column: str) -> Array:
    """Return a column of numbers or truth values.

    Raises:
        InputError: If it is that of the samples, and some records are there twice.
    """
    warn_if_incomplete(records)
    if column == "index":
        check_distinct(records)
    values: Array = records.column(column).to_numpy()
    return values


def keys_of(records: Records) -> tuple[Array, Array]:
    """Return sample and target of each record; -1 stands for no target."""
    return values_of(records, "index"), targets_of(records)


def indices_of(records: Records) -> Array:
    """Return the sample of each record, also of records that were chosen several times."""
    indices: Array = records.column("index").to_numpy()
    return indices


def targets_of(records: Records) -> Array:
    """Return the target of each record; -1 stands for no target."""
    targets: Array = pc.fill_null(records.column("target"), -1).to_numpy()
    return targets


def _grouped(keys: tuple[Array, Array], ranks: Array | None = None) -> tuple[Array, Array]:
    """Group rows with equal keys.

    Args:
        keys: The keys of each row.
        ranks: The order of the rows in a group; by default their own.

    Returns:
        The positions of the rows, group by group; and the group of each row, a number from 0 that
        follows the order of the keys.
    """
    first, second = keys
    order = np.lexsort((second, first) if ranks is None else (ranks, second, first))
    changes = np.zeros(len(order), dtype=bool)
    for key in keys:
        changes[1:] |= np.diff(key[order]) != 0
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(changes)
    return order, group
