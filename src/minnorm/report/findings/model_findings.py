"""Findings from the clean accuracy, the distances and the number of samples of a run."""

import math

import numpy as np

from minnorm.evaluation import Records, accuracy_at, clean_accuracy
from minnorm.evaluation.estimates import Array, Estimate, Z
from minnorm.evaluation.metrics import is_correct
from minnorm.evaluation.records import samples_in
from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm, span
from minnorm.report.facts.classes import class_name
from minnorm.report.facts.default_radii import default_radii
from minnorm.report.findings.finding import Finding
from minnorm.report.parts import closest_part, main_norm
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import (
    counted,
    norm_name,
    percent,
    percent_interval,
    radius_text,
    rounded_up,
)

_ENOUGH = 10
"""The fewest samples from which the clean accuracy says something about the labels."""

_PERMUTED = 0.7
"""The accuracy with other labels from which the labels seem to be in another order."""

_LEAD = 2
"""The fewest samples by which a prediction of a label must lead."""

_TINY = 0.25 / 255
"""The share of the range of an input that no image format can hold: a quarter of a gray level."""

_ALMOST_ALL = 0.95
"""The share of samples with tiny distances from which the scale is doubtful."""

_WIDE, _NARROW = 0.05, 0.02
"""Half the width of an interval that is wide, and of one that is narrow enough."""


def model_findings(run: LabeledRun) -> list[Finding]:
    """Return what the clean accuracy, the distances and the number of samples show.

    Args:
        run: The run, with at least one record.
    """
    samples = _one_record_of_each_sample(run.run.records)
    norm = main_norm(run)
    closest = closest_part(run, norm)
    return [
        *(_permuted_labels(run, samples) or _chance(run, samples)),
        *_tiny_distances(run, closest),
        *_wide_intervals(run, closest, norm),
    ]


def _one_record_of_each_sample(records: Records) -> Records:
    _, first = np.unique(values_of(records, "index"), return_index=True)
    return records.take(first)


def _chance(run: LabeledRun, samples: Records) -> list[Finding]:
    """Return whether the clean accuracy may be that of guessing."""
    labels, predictions = values_of(samples, "label"), values_of(samples, "clean_prediction")
    classes = max(len(run.run.classes), int(max(labels.max(), predictions.max())) + 1, 2)
    clean = clean_accuracy(samples)
    if len(samples) < _ENOUGH or clean.low > 1 / classes:
        return []
    text = (
        f"The model classifies {percent(clean.value)} of {counted(len(samples), 'sample')} "
        f"correctly. Guessing among {classes:,} classes would give {100 / classes:.2g} %. "
        "Accuracies under attack are not larger, so they say nothing about robustness."
    )
    if (predictions == max(predictions[0], 0)).all() and len(np.unique(labels)) > 1:
        text += f" It predicts the class {class_name(run, int(predictions[0]))} for every sample."
    return [
        Finding(
            "chance",
            "problem",
            "The clean accuracy is near chance",
            text,
            "Check that the inputs are normalized as in training (the range of values, the mean "
            "and the standard deviation, inside the model), that the weights are loaded, and that "
            "the labels have the order of the model's classes.",
        )
    ]


def _permuted_labels(run: LabeledRun, samples: Records) -> list[Finding]:
    """Return whether the model is accurate if the labels are renamed."""
    labels, predictions = values_of(samples, "label"), values_of(samples, "clean_prediction")
    known = predictions >= 0
    labels, predictions = labels[known], predictions[known]
    if len(labels) < 2 * _ENOUGH:
        return []
    clean = clean_accuracy(samples)
    renamed = _renamed(labels, predictions)
    moved = {label: found for label, found in renamed.items() if label != found}
    if len(set(renamed.values())) < len(renamed) or len(moved) < 2:
        return []
    found, places = np.unique(labels, return_inverse=True)
    hits = np.array([renamed[label] for label in found.tolist()])[places] == predictions
    accuracy = float(hits.mean())
    if accuracy < _PERMUTED or clean.high >= accuracy:
        return []
    examples = ", ".join(
        f"{class_name(run, label)} as {class_name(run, found)}"
        for label, found in list(moved.items())[:3]
    )
    return [
        Finding(
            "label-order",
            "problem",
            "The labels seem to be in another order than the classes of the model",
            f"The model classifies {percent(clean.value)} of the samples correctly, but "
            f"{percent(accuracy)} if labels are renamed: it takes samples of the class "
            f"{examples}. The numbers of this run are those of wrong labels.",
            "Compare the order of the classes of the data with that of the model: 'minnorm data "
            "show' lists the class of each label. Folders of classes are numbered by their sorted "
            "names.",
        )
    ]


def _renamed(labels: Array, predictions: Array) -> dict[int, int]:
    """Return the most frequent prediction of each label, or the label where that is no clear one.

    A single sample must not decide about it.
    """
    classes = int(predictions.max()) + 1
    pairs, counts = np.unique(labels * classes + predictions, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    ranked: dict[int, list[tuple[int, int]]] = {}
    for pair, count in zip(pairs[order].tolist(), counts[order].tolist(), strict=True):
        label, prediction = divmod(pair, classes)
        ranked.setdefault(label, []).append((prediction, count))
    return {label: _leader(label, ranked[label]) for label in sorted(ranked)}


def _leader(label: int, ranked: list[tuple[int, int]]) -> int:
    """Return the first of the predictions with their counts, or the label if its lead is small."""
    (prediction, count), (_, second) = [*ranked, (label, 0)][:2]
    return prediction if count - second >= _LEAD else label


def _tiny_distances(run: LabeledRun, closest: Records) -> list[Finding]:
    """Return whether almost all adversarials are too near for any image format."""
    low, high = run.run.manifest["configuration"]["bounds"]
    largest = values_of(closest, "linf")[is_correct(closest)] / span((low, high))
    if len(largest) < _ENOUGH or (largest <= _TINY).mean() < _ALMOST_ALL:
        return []
    return [
        Finding(
            "tiny-distances",
            "problem",
            "Almost any change makes the model wrong",
            f"For {int((largest <= _TINY).sum()):,} of {counted(len(largest), 'sample')}, the "
            "closest adversarial changes no value by more than a quarter of a gray level of 255. "
            "Images with 8 bits cannot hold such changes. The accuracy is near 0 at all usual "
            "radii.",
            "Check that the inputs have the range of values that the model expects: a wrong scale "
            "or normalization makes a model this sensitive.",
        )
    ]


def _wide_intervals(run: LabeledRun, closest: Records, norm: Norm) -> list[Finding]:
    """Return whether there are too few samples for narrow intervals."""
    named: list[tuple[str, Estimate]] = [("clean accuracy", clean_accuracy(closest))]
    for radius in default_radii([run], norm):
        place = f"accuracy within an {norm_name(norm)} distance of {radius_text(radius)}"
        named.append((place, accuracy_at(closest, radius, norm)))
    name, widest = max(named, key=lambda one: _half_width(one[1]))
    if _half_width(widest) <= _WIDE:
        return []
    count = samples_in(closest)
    needed = _samples_for(count, _half_width(widest))
    return [
        Finding(
            "wide-intervals",
            "note",
            "The confidence intervals are wide",
            f"With {counted(count, 'sample')}, the {name} is {percent(widest.value)}, and the 95 % "
            f"interval reaches from {percent_interval(widest)}. Small differences between models "
            "or attacks are not visible.",
            f"About {needed:,} samples would give intervals of 2 points to either side.",
        )
    ]


def _half_width(estimate: Estimate) -> float:
    return 0.0 if math.isnan(estimate.value) else (estimate.high - estimate.low) / 2


def _samples_for(count: int, half_width: float) -> int:
    """Return roughly how many samples make an interval narrow, rounded up to two digits.

    Args:
        count: The number of samples.
        half_width: Half the width of their interval.
    """
    # Wilson's interval is about as wide as if there were Z**2 more samples.
    return rounded_up((count + Z**2) * (half_width / _NARROW) ** 2)
