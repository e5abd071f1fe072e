"""Results by class: a row for each true class, and the classes that adversarials are taken for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from minnorm.evaluation import (
    Estimate,
    accuracy_at,
    clean_accuracy,
    median_distance,
)
from minnorm.evaluation.estimates import Array
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
        names: The names of the classes; the last may sum up others.
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
    norm = main_norm(run, norm)
    records = closest_part(run, norm)
    labels = values_of(records, "label")
    rows = []
    for label in np.unique(labels).tolist():
        part = records.take(pa.array(np.flatnonzero(labels == label)))
        rows.append(
            ClassRow(
                label,
                class_name(run, label),
                len(part.column("index").unique()),
                clean_accuracy(part),
                tuple(accuracy_at(part, epsilon, norm) for epsilon in epsilons),
                median_distance(part, norm),
            )
        )
    return rows


def class_name(run: LabeledRun, label: int) -> str:
    """Return the name of a class, its label as text if the run does not know it."""
    names = run.run.classes
    return names[label] if 0 <= label < len(names) else str(label)


def flows(run: LabeledRun, norm: Norm | None = None) -> Flows | None:
    """Return the true class and the class of the closest adversarial, counted over samples.

    Args:
        run: The run.
        norm: The norm of the distances; by default that of the first attack.

    Returns:
        The counts over the correctly classified samples; `None` without a success among these.
    """
    records = closest_part(run, norm)
    label, found = values_of(records, "label"), values_of(records, "adversarial_prediction")
    hits = values_of(records, "success") & (values_of(records, "clean_prediction") == label)
    if not hits.any():
        return None
    count = int(max(label.max(), found.max())) + 1
    counts = np.zeros((count, count), dtype=np.int64)
    np.add.at(counts, (label[hits], found[hits]), 1)
    return Flows(tuple(class_name(run, one) for one in range(count)), counts)
