"""How far attacks have searched, and for what, by their records.

An attack such as `pgd(epsilon=0.3)` searches for any adversarial within its radius. Its accuracy is
known at that radius. At smaller ones, its records show only what the accuracy is at most: the
attack does not search for adversarials that are closer than necessary.
"""

import math

import numpy as np
import pyarrow.compute as pc

from minnorm.evaluation.estimates import Array
from minnorm.evaluation.records import Records, radii_from_text
from minnorm.geometry import NORM_ORDERS, Norm
from minnorm.radii import inscribed_radius

EQUAL_RADII = 1e-6
"""The relative difference up to which two radii, as users write them, are the same."""


def limits_of(records: Records, norm: Norm) -> Array:
    """Return the radius of each record, in a norm, beyond which its attack did not search.

    It is infinite for an attack that searches at any radius. A limit in another norm counts as far
    as it implies one in this norm, see `minnorm.radii.inscribed_radius`.
    """
    limits = pc.fill_null(records.column("radius_limit"), math.inf).to_numpy()
    implied = np.full(len(records), math.inf)
    for one, own in rows_by_norm(records).items():
        limited = own & np.isfinite(limits)
        implied[limited] = limits[limited] * inscribed_radius(1.0, one, norm)
    return implied


def rows_by_norm(records: Records) -> dict[Norm, Array]:
    """Return which records are of attacks that minimize a norm, for each norm."""
    column = records.column("norm")
    found = column.unique().to_pylist()
    return {norm: pc.equal(column, norm).to_numpy() for norm in NORM_ORDERS if norm in found}


def fixed_radii_in(records: Records, norm: Norm) -> tuple[float, ...] | None:
    """Return the radii within which an attack has searched for any adversarial.

    Args:
        records: The records of one attack, or the closest of several.
        norm: The norm of the radii.

    Returns:
        The radii, ascending; none if its radii are in another norm. `None` if it has searched for
        the closest adversarial.
    """
    found: set[float] | None = None
    for own, _, text in _kinds(records):
        if text is not None:
            radii = set(radii_from_text(text)) if own == norm else set()
            found = radii if found is None else found & radii
    return None if found is None else tuple(sorted(found))


def robust_up_to(records: Records, norm: Norm, until: Array) -> Array | None:
    """Return the radius within which each record of one attack is known to have no adversarial.

    It is the largest radius within which the attack has searched and found none.

    Args:
        records: The records.
        norm: The norm of the radii.
        until: The radius at which each record stops to count as robust, see
            `minnorm.evaluation.metrics.robust_radii`.

    Returns:
        The radii; `None` for an attack that has searched for the closest adversarial: its records
        are robust up to `until`.
    """
    radii = fixed_radii_in(records, norm)
    if radii is None:
        return None
    searched, limits = np.array([0.0, *radii]), limits_of(records, norm)
    least = searched[np.maximum(np.searchsorted(searched, until, side="left") - 1, 0)]
    failed = np.isinf(until) & np.isfinite(limits)
    return np.where(failed, np.maximum(least, limits), least)


def are_proven(until: Array, least: Array, epsilon: float) -> Array:
    """Return which records are known to be robust at a radius, as users write it.

    Args:
        until: The radius at which each record stops to count as robust.
        least: The radius within which each is known to be robust, see `robust_up_to`.
        epsilon: The radius.
    """
    proven: Array = (until > epsilon) & (least * (1 + EQUAL_RADII) >= epsilon)
    return proven


def radii_of_closest(records: Records, norm: Norm) -> tuple[float, ...] | None:
    """Return what `fixed_radii_in` returns, for the closest of several attacks.

    Attacks that minimize the norm decide, if there are any.

    Args:
        records: The records of the attacks.
        norm: The norm in which they are compared.
    """
    kinds = _kinds(records)
    kinds = [kind for kind in kinds if kind[0] == norm] or kinds
    limits = [math.inf if limit is None else limit for _, limit, _ in kinds]
    closest = [
        limit * inscribed_radius(1.0, own, norm) if math.isfinite(limit) else limit
        for limit, (own, _, text) in zip(limits, kinds, strict=True)
        if text is None
    ]
    farthest = max(closest, default=0.0)
    if closest and farthest >= max(limits):
        return None
    radii = {farthest} if farthest > 0 else set()
    for own, _, text in kinds:
        if text is not None and own == norm:
            radii.update(radii_from_text(text))
    return tuple(sorted(radii))


def _kinds(records: Records) -> list[tuple[Norm, float | None, str | None]]:
    """Return the norm, the radius limit and the fixed radii of the attacks, each kind once."""
    names = ["norm", "radius_limit", "fixed_radii"]
    kinds = records.select(names).group_by(names).aggregate([])
    columns = [kinds.column(name).to_pylist() for name in names]
    return list(zip(*columns, strict=True))
