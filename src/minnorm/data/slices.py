"""Whether a slice of labeled samples is a fair sample of the whole data set."""

import math

import numpy as np

from minnorm.data.arrays import Array
from minnorm.doubts import Doubt


def doubt_about_slice(name: str, labels: Array, indices: range) -> Doubt | None:
    """Return why the result of a slice may not hold for the whole data set.

    A slice is doubtful if it takes the classes of data sorted by class unevenly, or if it holds
    fewer than half of the classes that a random sample of its size would hold.

    Args:
        name: The name of the data set.
        labels: The labels of the whole data set, `[n]` integers.
        indices: The positions of the slice.

    Returns:
        A doubt that says what to do, or `None` for a fair slice.
    """
    if not 0 < len(indices) < len(labels):
        return None
    _, numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    taken = np.bincount(numbers[np.asarray(indices)], minlength=len(sizes))
    held, classes = np.count_nonzero(taken), len(sizes)
    share = len(indices) / len(labels)
    uneven = float(np.abs(taken - share * sizes).max()) >= 1
    sorted_by_class = 1 < classes == 1 + np.count_nonzero(np.diff(labels))
    expected = float((1 - (1 - share) ** sizes).sum())
    if sorted_by_class and uneven:
        how = "are sorted by class"
    elif held < expected / 2:
        how = "are not in random order"
    else:
        return None
    contents = f"has {held} of the {classes} classes" if held < classes else "takes them unevenly"
    return Doubt(
        "slice",
        f"the samples of {name} {how}, and the slice {_text(indices)} {contents}: its results do "
        f"not hold for the whole data set. Take evenly spaced samples instead, for example "
        f"[::{math.ceil(len(labels) / len(indices))}].",
    )


def _text(indices: range) -> str:
    step = "" if indices.step == 1 else f":{indices.step}"
    stop = indices.stop if indices.stop >= 0 else ""
    return f"[{indices.start}:{stop}{step}]"
