"""What a data set holds, in words."""

import numpy as np

from minnorm import boxes
from minnorm.data.dataset import Data, drawn

_READ = 100
"""Samples whose values are read."""


def description(data: Data) -> dict[str, str]:
    """Return what a data set holds, by short names.

    Args:
        data: The data set; some of its samples are read.

    Returns:
        The name, the number of samples, the shape of an input, the range of values of some inputs,
        its bounds and mask, and the name and number of samples of each label, as far as they are
        known.
    """
    inputs, labels = data.batch(drawn(len(data), _READ))
    low, high = inputs.aminmax() if inputs.numel() else (0, 0)
    found = {
        "data": data.name,
        "samples": f"{len(data):,}",
        "shape of an input": str(list(inputs.shape[1:])),
        "values": f"{float(low):.4g} to {float(high):.4g} in {len(inputs)} samples",
    }
    if data.bounds is not None:
        lowest, highest = boxes.interval(data.bounds)
        found["bounds"] = f"{lowest:.4g} to {highest:.4g}"
    if data.mask is not None:
        free = data.mask.expand(inputs.shape[1:])
        found["may change"] = f"{int(free.sum()):,} of {free.numel():,} features"
    counts: dict[int, str] = {}
    if data.labels is not None:
        kinds, sizes = np.unique(data.labels[np.asarray(data.indices)], return_counts=True)
        pairs = zip(kinds.tolist(), sizes.tolist(), strict=True)
        counts = {label: f"{size:,} samples" for label, size in pairs}
    else:
        counts = dict.fromkeys(labels.tolist(), "at least 1 sample")
    names = dict(enumerate(data.classes))
    for label in sorted({*counts, *names}):
        words = (names.get(label), counts.get(label, "no samples"))
        found[f"label {label}"] = ", ".join(word for word in words if word is not None)
    return found
