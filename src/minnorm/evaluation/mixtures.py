"""Records of the same samples side by side: whether they are of the same data and model."""

import numpy as np

from minnorm.doubts import Doubt
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.records import Records

_SAME_LENGTH = 1e-3
"""The relative difference up to which two lengths of an input are equal, in single precision."""

_SAME_LENGTH_IN_HALF = 2e-2
"""The same in a precision of 16 bits."""

_SMALLEST = 1e-6
"""The absolute difference up to which two lengths are equal."""


def differences_of_samples(a: Records, b: Records, dtype: str | None) -> list[str]:
    """Return how the samples of two tables differ whose data are said to be the same, in words.

    Args:
        a: Records.
        b: Other records; samples that only one of the two has do not count.
        dtype: The dtype of the model in both; `None` if there are two, which round inputs
            differently, so that only labels are compared.
    """
    common, in_a, in_b = np.intersect1d(
        _column(a, "index"), _column(b, "index"), return_indices=True
    )
    found = []
    labels, others = _column(a, "label")[in_a], _column(b, "label")[in_b]
    wrong = np.flatnonzero(labels != others)
    if len(wrong):
        one = wrong[0]
        found.append(
            f"{_count(len(wrong), len(common))} have another label, for example sample "
            f"{common[one]}: {labels[one]} and {others[one]}"
        )
    if dtype is None:
        return found
    single = dtype in ("torch.float32", "torch.float64")
    tolerance = _SAME_LENGTH if single else _SAME_LENGTH_IN_HALF
    changed = _other_inputs(_column(a, "gray_l2")[in_a], _column(b, "gray_l2")[in_b], tolerance)
    if changed.any():
        found.append(
            f"{_count(int(changed.sum()), len(common))} have other inputs, for example sample "
            f"{common[changed][0]}"
        )
    return found


def doubts_about_mixtures(records: Records) -> tuple[Doubt, ...]:
    """Return doubts if the attacks of a run had other labels, inputs or predictions of a sample.

    Args:
        records: The records of a run.
    """
    samples, first, sample = np.unique(
        _column(records, "index"), return_index=True, return_inverse=True
    )
    rows = first[sample]  # the first row of the sample of each row
    labels, lengths, predicted = (
        _column(records, name) for name in ("label", "gray_l2", "clean_prediction")
    )
    data = (labels != labels[rows]) | _other_inputs(lengths, lengths[rows], _SAME_LENGTH_IN_HALF)
    classes = predicted != predicted[rows]
    parts = [_count(len(np.unique(sample[one])), len(samples)) for one in (data, classes)]
    doubts = []
    if data.any():
        text = (
            f"{parts[0]} have another label or another input in the records of one attack than in "
            "those of another: the data have changed while the run was interrupted. Repeat it in "
            "another folder."
        )
        doubts.append(Doubt("mixed-data", text))
    if classes.any():
        text = (
            f"{parts[1]} have another predicted class before one attack than before another: the "
            "model, or how it rounds, has changed while the run was interrupted. Then no two "
            "attacks can be compared exactly. Repeat the run in another folder."
        )
        doubts.append(Doubt("mixed-models", text))
    return tuple(doubts)


def _other_inputs(a: Array, b: Array, relative: float) -> Array:
    """Return which samples have other inputs, by their distances to the gray image."""
    known, others = np.isfinite(a), np.isfinite(b)  # without bounds there is no gray image
    a, b = np.where(known, a, 0.0), np.where(others, b, 0.0)
    far: Array = np.abs(a - b) > relative * np.abs(b) + _SMALLEST
    return far | np.not_equal(known, others)


def _column(records: Records, name: str) -> Array:
    values: Array = records.column(name).to_numpy()
    return values


def _count(some: int, total: int) -> str:
    return f"{some:,} of {total:,} samples"
