"""How near an attack comes to the best known distances: one number for a whole curve."""

import math

import numpy as np

from minnorm.errors import InputError
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import check_one_attack, is_correct, known_up_to
from minnorm.evaluation.records import Records
from minnorm.evaluation.selection import keys_of, norm_of_records, values_of
from minnorm.geometry import Norm


def optimality(records: Records, envelope: Records, norm: Norm | None = None) -> float:
    """Return how near an attack comes to the best known distances: 1 at them, 0 if it always fails.

    This is the global optimality of AttackBench (Cinà et al. 2024), `1 - (A - B) / (C - B)`. A and
    B are the areas under the robustness curves of the attack and of the envelope, up to the largest
    distance of the envelope; C is the area for the clean accuracy.

    Args:
        records: The attack's records.
        envelope: The best known records of the same samples, for example from `closest_records`.
        norm: The norm of the distances; by default the attack's own.

    Returns:
        The optimality; NaN if the envelope has no finite distance above 0, or if an attack that
        failed did not search up to its largest distance.

    Raises:
        InputError: If the samples are not the same, or the envelope is of another norm.
    """
    check_one_attack(records)
    if not np.array_equal(_sorted_keys(records), _sorted_keys(envelope)):
        raise InputError(
            "the records and the envelope are not of the same samples and targets: use an envelope "
            "of the same samples, for example from closest_records."
        )
    norm = norm_of_records(records, norm)
    if (chosen := norm_of_records(envelope)) != norm:
        raise InputError(
            f"the envelope's distances are the smallest in {chosen}, but the records are measured "
            f"in {norm}: use closest_records(records, norm={norm!r}) as the envelope."
        )
    found, best = (
        np.where(is_correct(part), values_of(part, norm), 0.0) for part in (records, envelope)
    )
    finite = best[np.isfinite(best)]
    limit = float(finite.max()) if len(finite) else 0.0
    if limit == 0.0 or any(limit > known_up_to(part, norm) for part in (records, envelope)):
        return math.nan
    # The area under mean(distance > eps) up to the limit is the mean of min(distance, limit).
    area, area_best = (float(np.minimum(values, limit).mean()) for values in (found, best))
    area_clean = float(is_correct(envelope).mean()) * limit
    return 1 - (area - area_best) / (area_clean - area_best) if area_clean > area_best else 1.0


def _sorted_keys(records: Records) -> Array:
    """Return the samples and targets of records in an order that does not depend on their rows."""
    keys = np.stack(keys_of(records))
    return keys[:, np.lexsort(keys)]
