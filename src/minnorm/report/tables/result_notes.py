"""What is said around a table of results: what its numbers are over, and what they do not say."""

import math
from collections.abc import Sequence

from minnorm.evaluation import Estimate, Records, clean_accuracy
from minnorm.evaluation.records import are_targeted, norms_in, samples_in
from minnorm.geometry import Norm
from minnorm.report.runs import LabeledRun, have_same_samples


def heading(records: Records) -> str:
    """Return the number of samples, and how many the model misclassifies before any attack."""
    return heading_of(samples_in(records), clean_accuracy(records))


def heading_of(samples: int, clean: Estimate) -> str:
    """Return the heading of so many samples, see `heading`.

    Args:
        samples: The number of samples.
        clean: The clean accuracy on them, unknown if there are none.
    """
    if math.isnan(clean.value):
        return "0 samples"
    text = f"{samples:,} samples, clean accuracy {100 * clean.value:.2f} %"
    return f"{text}, clean errors: {errors_among(samples, clean):,} of {samples:,}"


def errors_among(samples: int, clean: Estimate) -> int:
    """Return how many samples the model misclassifies before any attack.

    Args:
        samples: The number of samples.
        clean: The clean accuracy on them, unknown if there are none.
    """
    return samples - round(samples * clean.value) if samples else 0


def notes_on(
    tables: Sequence[Records],
    norm: Norm | None,
    *,
    radii: bool,
    limited: bool,
    at_most: bool = False,
) -> list[str]:
    """Return the notes on a table.

    Args:
        tables: The records of each run.
        norm: The norm in which all are measured, if one was chosen.
        radii: Whether the table has accuracies at radii.
        limited: Whether an attack did not search beyond a radius.
        at_most: Whether a number is only known to be at most that.
    """
    notes = [
        "In brackets: 95 % confidence intervals.",
        "Success, mean, median: over the correctly classified samples, without the clean errors.",
        "Mean: over successes. Median: a failure counts as infinitely far.",
        "Gradients and forwards: mean per sample. Seconds: in total.",
    ]
    targeted = [records for records in tables if are_targeted(records)]
    for records in targeted:
        pairs = len(records.select(["index", "target"]).group_by(["index", "target"]).aggregate([]))
        notes.append(
            f"{pairs:,} pairs of {samples_in(records):,} samples with their targets; intervals "
            "count a sample's pairs as one draw."
        )
    minimized = dict.fromkeys(own for records in tables for own in norms_in(records))
    others = [own for own in minimized if own != norm]
    if norm is not None and others:
        notes.append(
            f"Measured in {norm}, also for attacks that minimize {' and '.join(others)}: an attack "
            f"that minimizes {norm} would come closer."
        )
    if radii and targeted:
        notes.append(
            "Accuracy at a radius: the share of pairs that are classified correctly and whose "
            "target is not reached within the radius; an upper bound."
        )
    if radii and len(targeted) < len(tables):
        notes.append(
            "Accuracy at a radius: over all samples; an upper bound, which a better attack may "
            "lower."
        )
    if limited:
        notes.append(
            "An attack within a radius says nothing beyond it: '>' in a median means farther than "
            "that radius, and an accuracy beyond it is '-'."
        )
    if at_most:
        notes.append(
            "'≤' is at most: an attack such as PGD searches for any adversarial within its radius, "
            "not for the closest. At smaller radii the accuracy may be lower, and so may distances."
        )
    return list(dict.fromkeys(notes))


def notes_on_several(runs: Sequence[LabeledRun]) -> list[str]:
    """Return what a reader must know before comparing the runs."""
    if have_same_samples(runs):
        return []
    return [
        "The runs are over different samples, or have other labels of the same ones: compare their "
        "numbers with care."
    ]
