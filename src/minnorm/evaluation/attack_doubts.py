"""Doubts about what attacks returned, counted over the records of a whole run."""

from collections.abc import Iterator

import numpy as np

from minnorm.doubts import Doubt
from minnorm.evaluation.estimates import Array, count_distinct
from minnorm.evaluation.records import NO_POINT, Records, attacks_in
from minnorm.evaluation.selection import of_attack, values_of

_ROUNDED = 0.01
"""The largest share of wrong flags that rounding near the decision boundary may explain."""


def doubts_about_attacks(records: Records) -> tuple[Doubt, ...]:
    """Return doubts about attacks that return points or flags that do not hold.

    An attack on a random model has seen other draws than the evaluation, so its flags may differ.
    """
    return tuple(doubt for name in attacks_in(records) for doubt in _doubts(name, records))


def _doubts(name: str, records: Records) -> Iterator[Doubt]:
    """Yield the doubts about one attack."""
    part = of_attack(records, name)
    points = values_of(part, "adversarial_prediction")
    if (points == NO_POINT).any():
        yield Doubt(
            "invalid-points",
            f"{name} returned points with NaN or infinite values, for "
            f"{_cases(part, points == NO_POINT)}. Such points count as failures, so the model may "
            "look more robust than it is. Look for a division by 0 in the attack, such as by the "
            "length of a gradient that is 0.",
        )
    if part.column("adversarial_share").null_count < len(part):
        return
    correct = values_of(part, "clean_prediction") == values_of(part, "label")
    reported = values_of(part, "reported") & correct
    # NaN is a doubt of its own.
    wrong = reported & ~values_of(part, "success") & (points >= 0)
    if wrong.sum() >= max(2.0, _ROUNDED * correct.sum()):
        yield Doubt(
            "wrong-successes",
            f"{name} reports a success for {int(reported.sum()):,} of {_cases(part, correct)}, but "
            f"{int(wrong.sum()):,} of these points are not adversarial when the model evaluates "
            "them again, or are outside the bounds. They count as failures, so the model may look "
            "more robust than it is. Either the model draws random numbers, or the attack is "
            "faulty.",
        )


def _cases(records: Records, chosen: Array) -> str:
    """Return the number of some records in words."""
    count = int(np.count_nonzero(chosen))
    if records.column("target").null_count < len(records):
        return f"{count:,} pair{'s' * (count != 1)} of a sample and a target"
    count = count_distinct(values_of(records, "index")[chosen])
    return f"{count:,} sample{'s' * (count != 1)}"
