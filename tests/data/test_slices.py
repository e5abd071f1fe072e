"""Slices of labeled data: which ones are fair samples, and what is said about the others."""

import logging
import re

import numpy as np
import pytest

from minnorm.data import from_arrays
from minnorm.data.slices import doubt_about_slice

SORTED = np.repeat(np.arange(10), 20)
RANDOM = np.random.default_rng(0).permutation(SORTED)
BLOCKS = np.concatenate([SORTED[100:], SORTED[:100], SORTED])
SKEWED = np.repeat([0, 1, 2], [990, 9, 1])


@pytest.mark.parametrize(
    ("labels", "indices", "message"),
    [
        (SORTED, range(20), r"are sorted by class, and the slice \[0:20\] has 1 of the 10 classes"),
        (SORTED, range(150), "has 8 of the 10 classes"),
        (SORTED, range(10, 200), "takes them unevenly"),
        (SORTED, range(199, 99, -1), r"slice \[199:99:-1\] has 5 of the 10 classes"),
        (SORTED, range(0, 100, 2), r"slice \[0:100:2\] has 5 of the 10 classes.* example \[::4\]"),
        (SORTED[::-1], range(20), "are sorted by class"),
        (np.repeat([7, 3], 5), range(3), "has 1 of the 2 classes"),
        (np.repeat([0, 10**15], 5), range(5), "has 1 of the 2 classes"),
        (BLOCKS, range(20), "are not in random order, and the slice .* has 1 of the 10 classes"),
    ],
)
def test_a_slice_that_takes_classes_unevenly_is_doubtful(
    labels: np.ndarray[tuple[int], np.dtype[np.int64]], indices: range, message: str
) -> None:
    doubt = doubt_about_slice("mine", labels, indices)
    assert doubt is not None
    assert doubt.text.startswith("the samples of mine ")
    assert re.search(message, doubt.text)


@pytest.mark.parametrize(
    ("labels", "indices"),
    [
        (SORTED, range(200)),
        (SORTED, range(199, -1, -1)),
        (SORTED, range(0, 200, 7)),
        (SORTED, range(3, 200, 40)),
        (SORTED, range(1)),
        (SORTED, range(0)),
        (SKEWED, range(0, 1000, 10)),
        (RANDOM, range(20)),
        (RANDOM, range(50, 55)),
        (np.arange(30), range(10)),
        (np.zeros(30, int), range(10)),
        (np.arange(30) % 3, range(10)),
    ],
)
def test_a_fair_slice_is_not_doubtful(
    labels: np.ndarray[tuple[int], np.dtype[np.int64]], indices: range
) -> None:
    assert doubt_about_slice("mine", labels, indices) is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("size", [2, 5, 20, 100])
def test_slices_of_shuffled_data_are_not_doubtful(seed: int, size: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat([0, 1, 2, 3], [500, 300, 90, 10]))
    assert doubt_about_slice("mine", labels, range(size)) is None


def test_the_suggested_slice_is_fair_and_of_the_size() -> None:
    doubt = doubt_about_slice("mine", SORTED, range(50))
    assert doubt is not None
    assert doubt.text.endswith("for example [::4].")
    assert doubt_about_slice("mine", SORTED, range(0, 200, 4)) is None


def test_a_doubtful_slice_is_logged_once_and_kept_as_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = from_arrays("mine", np.zeros((200, 1)), SORTED)
    with caplog.at_level(logging.WARNING, logger="minnorm"):
        part = data[:20]
    assert [record.getMessage() for record in caplog.records] == list(part.warnings)
    assert len(part.warnings) == 1
    assert data[::4].warnings == data.warnings == ()
