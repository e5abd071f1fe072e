"""Doubts about the labels, from the clean predictions of a whole run."""

from collections.abc import Sequence

import numpy as np

from minnorm.doubts import Doubt
from minnorm.evaluation.estimates import Array, share_of
from minnorm.evaluation.records import Records, name_of_class
from minnorm.evaluation.selection import values_of

_ENOUGH = 10
"""The fewest samples from which the clean accuracy says something about the labels."""

_PERMUTED = 0.7
"""The accuracy with other labels from which the labels seem to be in another order."""

_RENAMED = 0.9
"""The accuracy with another label from which a single class seems to have another number."""

_SEVERAL = 5
"""The fewest samples of other classes that a good model would not all take for the same class."""

_LEAD = 2
"""The fewest samples by which a prediction of a label must lead."""

_EXAMPLES = 3
"""The number of classes in another order that a text names."""


def doubts_about_labels(records: Records, classes: Sequence[str]) -> tuple[Doubt, ...]:
    """Return whether labels seem to be in another order, or the model to be guessing or constant.

    All need evidence, so a few samples raise none. One explanation is enough.

    Args:
        records: The records.
        classes: The names of the classes by label, empty if they are unknown.
    """
    indices, first = np.unique(values_of(records, "index"), return_index=True)
    if len(indices) < _ENOUGH:
        return ()
    labels = values_of(records, "label")[first]
    predictions = values_of(records, "clean_prediction")[first]
    doubt = (
        _doubt_about_order(labels, predictions, classes)
        or _doubt_about_chance(labels, predictions, classes)
        or _doubt_about_constant(records, labels, predictions, classes)
    )
    return () if doubt is None else (doubt,)


def _doubt_about_chance(labels: Array, predictions: Array, classes: Sequence[str]) -> Doubt | None:
    """Return a doubt if the clean accuracy may be that of guessing, and is not a good one."""
    count = max(len(classes), int(max(labels.max(), predictions.max())) + 1, 2)
    clean = share_of(predictions == labels, np.arange(len(labels)))
    chance = 1 / count
    # Few samples exclude neither guessing nor a good model.
    if clean.low > chance or clean.high > (1 + chance) / 2:
        return None
    constant = (predictions == max(predictions[0], 0)).all() and len(np.unique(labels)) > 1
    same = f" It predicts the class {name_of_class(classes, int(predictions[0]))} for every sample."
    return Doubt(
        "chance",
        f"The clean accuracy is near chance. The model classifies {_percent(clean.value)} of "
        f"{len(labels):,} samples correctly. Guessing among {count:,} classes would give "
        f"{100 * chance:.2g} %.{same if constant else ''} Accuracies under attack are not larger, "
        "so they say nothing about robustness: check the normalization, the weights, and the order "
        "of the classes.",
    )


def _doubt_about_constant(
    records: Records, labels: Array, predictions: Array, classes: Sequence[str]
) -> Doubt | None:
    """Return a doubt if all predictions are the same class, though there are samples of others.

    A good model may miss a few samples of rare classes, and still have adversarials.
    """
    constant = int(predictions[0])
    others = int(np.count_nonzero(labels != constant))
    if constant < 0 or (predictions != constant).any() or not 0 < others < len(labels):
        return None
    if others < _SEVERAL and not _never_changes(records, constant):
        return None
    return Doubt(
        "constant",
        f"The model predicts the class {name_of_class(classes, constant)} for all "
        f"{len(labels):,} samples, though {others:,} of them are of other classes. So its clean "
        f"accuracy, {_percent(1 - others / len(labels))}, is that of a constant, which looks "
        "robust and is not a good model. Check the normalization, the weights, and the outputs of "
        "the model: a single probability is no logit, since all of them are above 0.",
    )


def _never_changes(records: Records, constant: int) -> bool:
    """Return whether attacks without a limit of the radius have changed no prediction either."""
    free = records.filter(records.column("radius_limit").is_null())
    return len(free) > 0 and bool((values_of(free, "adversarial_prediction") == constant).all())


def _doubt_about_order(labels: Array, predictions: Array, classes: Sequence[str]) -> Doubt | None:
    """Return a doubt if the model is accurate when labels are renamed."""
    clean = share_of(predictions == labels, np.arange(len(labels)))
    known = predictions >= 0
    labels, predictions = labels[known], predictions[known]
    if len(labels) < 2 * _ENOUGH:
        return None
    renamed = _renamed(labels, predictions)
    moved = {label: found for label, found in renamed.items() if label != found}
    if len(set(renamed.values())) < len(renamed) or not moved:
        return None
    found, places = np.unique(labels, return_inverse=True)
    hits = np.array([renamed[label] for label in found.tolist()])[places] == predictions
    accuracy = float(hits.mean())
    if accuracy < _PERMUTED or clean.high >= accuracy:
        return None
    if len(moved) == 1:  # two classes may be alike, so that needs more evidence
        alone = hits[labels == next(iter(moved))]
        if len(renamed) == 1 or len(alone) < _ENOUGH or min(alone.mean(), accuracy) < _RENAMED:
            return None
    examples = ", ".join(
        f"{name_of_class(classes, label)} as {name_of_class(classes, found)}"
        for label, found in list(moved.items())[:_EXAMPLES]
    )
    return Doubt(
        "label-order",
        "The labels seem to be in another order than the classes of the model. The model "
        f"classifies {_percent(clean.value)} of the samples correctly, but {_percent(accuracy)} if "
        f"labels are renamed: it takes samples of the class {examples}. The numbers of this run "
        "are those of wrong labels: correct their order, and run the evaluation again.",
    )


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


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
