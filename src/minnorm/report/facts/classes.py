"""Results by class: a row for each true class, and the classes that adversarials are taken for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from minnorm.evaluation import (
    Estimate,
    Records,
    clean_accuracy,
    closest_target,
    median_distance,
)
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import accuracies_at, is_correct
from minnorm.evaluation.records import are_targeted, name_of_class, samples_in
from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm
from minnorm.report.parts import closest_part, main_norm
from minnorm.report.runs import LabeledRun

SHOWN_CLASSES = 12
"""The most classes of flows that are shown apart."""

OTHER = "other"
"""The name of the classes that are summed up."""


@dataclass(frozen=True)
class ClassRow:
    """The results of one true class, of the closest of all attacks.

    Attributes:
        label: The class.
        name: Its name; the label as text if it is unknown.
        samples: The number of its samples.
        clean: The clean accuracy.
        accuracies: The accuracy at each radius.
        median: The median distance over the correctly classified samples.
    """

    label: int
    name: str
    samples: int
    clean: Estimate
    accuracies: tuple[Estimate, ...]
    median: Estimate


@dataclass(frozen=True)
class Flows:
    """From which class to which class the closest adversarials lead.

    Attributes:
        names: The names of the classes. The last is `OTHER` if there are more than
            `SHOWN_CLASSES`: those with the fewest samples are summed up.
        counts: The number of samples, by true class (row) and class of the adversarial (column).
    """

    names: tuple[str, ...]
    counts: Array


def per_class(
    run: LabeledRun, epsilons: Sequence[float], norm: Norm | None = None
) -> list[ClassRow]:
    """Return the results of each true class, of the closest of all attacks.

    Args:
        run: The run.
        epsilons: The radii of the accuracies.
        norm: The norm of the distances; by default that of the first attack.
    """
    if len(run.run.records) == 0:
        return []
    norm = main_norm(run, norm)
    return [
        ClassRow(
            label=label,
            name=class_name(run, label),
            samples=samples_in(part),
            clean=clean_accuracy(part),
            accuracies=accuracies_at(part, epsilons, norm),
            median=median_distance(part, norm),
        )
        for label, part in by_class(closest_part(run, norm), "label").items()
    ]


def by_class(records: Records, column: Literal["label", "target"]) -> dict[int, Records]:
    """Return the records of each true class or of each target class, in ascending order.

    Args:
        records: The records.
        column: The column of the classes. In that of targets, untargeted records have none.
    """
    if records.column(column).null_count:
        return {}
    classes = values_of(records, column)
    order = np.argsort(classes, kind="stable")
    ordered = records.take(pa.array(order)).combine_chunks()
    found, starts, sizes = np.unique(classes[order], return_index=True, return_counts=True)
    return {
        label: ordered.slice(start, size)
        for label, start, size in zip(found.tolist(), starts, sizes, strict=True)
    }


def class_name(run: LabeledRun, label: int) -> str:
    """Return the name of a class, its label as text if the run does not know it."""
    return name_of_class(run.run.classes, label)


def flows(run: LabeledRun, norm: Norm | None = None) -> Flows | None:
    """Return the true class and the class of the closest adversarial, counted over samples.

    Args:
        run: The run.
        norm: The norm of the distances; by default that of the first attack.

    Returns:
        The counts over the correctly classified samples, each with its closest target; `None`
        without a success among these.
    """
    if len(run.run.records) == 0:
        return None
    norm = main_norm(run, norm)
    records = closest_part(run, norm)
    records = records.filter(pa.array(values_of(records, "success") & is_correct(records)))
    if are_targeted(records):
        records = closest_target(records, norm)
    if len(records) == 0:
        return None
    labels = values_of(records, "label")
    predictions = values_of(records, "adversarial_prediction")
    classes, sizes = np.unique(np.append(labels, predictions), return_counts=True)
    largest = classes[np.argsort(-sizes, kind="stable")][:SHOWN_CLASSES]
    shown = np.sort(largest)
    names = [class_name(run, label) for label in shown.tolist()]
    if len(shown) < len(classes):
        names.append(OTHER)
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (_places(labels, shown), _places(predictions, shown)), 1)
    return Flows(tuple(names), counts)


def _places(labels: Array, shown: Array) -> Array:
    """Return the row or column of each label; that of the other classes comes last."""
    places = np.searchsorted(shown, labels)
    known = shown[np.minimum(places, len(shown) - 1)] == labels
    return np.where(known, places, len(shown))
