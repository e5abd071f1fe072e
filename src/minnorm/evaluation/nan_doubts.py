"""Doubts about NaN, counted over the records of a whole run."""

from minnorm.doubts import Doubt
from minnorm.evaluation.estimates import count_distinct
from minnorm.evaluation.records import Records
from minnorm.evaluation.selection import values_of

_REASONS = "Look for a division by 0, a logarithm or root of 0, or an overflow in the model."


def doubts_about_nan(records: Records) -> tuple[Doubt, ...]:
    """Return doubts about the samples and the points of attacks whose logits hold NaN.

    Each sample counts once, whatever the number of attacks and targets.
    """
    indices = values_of(records, "index")
    from_start = values_of(records, "clean_prediction") == -1
    # The point of an attack on such a sample says nothing new.
    later = (values_of(records, "adversarial_prediction") == -1) & ~from_start
    total = count_distinct(indices)
    found = []
    if from_start.any():
        count = count_distinct(indices[from_start])
        found.append(
            f"The model's logits are NaN for {count:,} of {total:,} samples. NaN is no class: they "
            f"count as misclassified, and as robust at no radius. {_REASONS}"
        )
    if later.any():
        count = count_distinct(indices[later])
        found.append(
            f"The model's logits are NaN at points that attacks returned, for {count:,} of "
            f"{total:,} samples. NaN is no class: such points count as failures, so the model may "
            f"look more robust than it is. {_REASONS}"
        )
    return tuple(Doubt("nan", text) for text in found)
