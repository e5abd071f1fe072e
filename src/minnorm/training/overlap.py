"""Samples that are in two sets of data, for example in those to train and to validate on."""

import hashlib
from collections.abc import Mapping

from minnorm.data import Data
from minnorm.data.dataset import drawn

_READ_SAMPLES = 500
"""Samples of each set that are read and compared: with 50,000 images, a copy of a tenth of them is
found in 99 of 100 cases."""


def overlaps(training: Data, others: Mapping[str, Data]) -> list[str]:
    """Return a warning for each set to judge the network on that shares samples with the training.

    Parts of the same data are compared by their positions. Of different data, some samples are
    read and compared, since two files may hold the same images.

    Args:
        training: The training data.
        others: The other sets, by their setting and spec.
    """
    found = []
    known: set[bytes] | None = None
    for name, other in others.items():
        if training.fingerprint == other.fingerprint:
            shared = len(set(training.indices) & set(other.indices))
            count = f"{shared:,} of {len(other):,}"
        else:
            known = _some(training) if known is None else known
            shared = len(known & _some(other))
            count = f"at least {shared:,}"
        if shared:
            found.append(
                f"{name}: {count} samples are training samples too, so that the accuracy on them "
                "does not show how the network predicts new ones. Choose samples that are not in "
                "data, for example another slice."
            )
    return found


def _some(data: Data) -> set[bytes]:
    """Return the hashes of some samples, drawn with a fixed seed."""
    inputs, _ = data.batch(drawn(len(data), _READ_SAMPLES))
    return {hashlib.sha256(sample.numpy().tobytes()).digest() for sample in inputs}
