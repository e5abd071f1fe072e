"""Samples to train on that are also among those to judge the network on."""

import numpy as np
import pytest
import torch

from minnorm.data import Data, from_arrays, from_map_dataset
from minnorm.training.overlap import overlaps

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (2000, 1, 4, 4), np.uint8)
LABELS = np.arange(2000) % 10


def data(part: slice = slice(None), name: str = "digits") -> Data:
    """Return a data set of its own, which holds a part of the images."""
    return from_arrays(name, IMAGES[part], LABELS[part])


def told(training: Data, other: Data) -> str:
    return " ".join(overlaps(training, {"validation: mine": other}))


@pytest.mark.parametrize(
    ("training", "validation", "shared"),
    [
        (slice(None), slice(None), "2,000 of 2,000"),
        (slice(None, 1500), slice(1400, None), "100 of 600"),
        (slice(0, None, 2), slice(0, 100), "50 of 100"),
        (slice(None, 1500), slice(None, None, -1), "1,500 of 2,000"),
        (slice(None, 1500), slice(1500, None), None),
        (slice(0, None, 2), slice(1, None, 2), None),
    ],
)
def test_slices_of_one_data_set_that_overlap_are_told(
    training: slice, validation: slice, shared: str | None
) -> None:
    whole = data()
    found = told(whole[training], whole[validation])
    if shared is None:
        assert found == ""
    else:
        assert f"validation: mine: {shared} samples are training samples too" in found


def test_the_same_content_under_another_name_is_told() -> None:
    assert "2,000 of 2,000" in told(data(), data(name="copy"))


@pytest.mark.parametrize(
    ("training", "validation", "is_told"),
    [
        (slice(None, 400), slice(300, 500), True),  # small sets are compared as a whole
        (slice(None, 400), slice(400, 500), False),
        (slice(None), slice(None, 1000), True),
        (slice(None), slice(1500, None), True),
        (slice(None, 1000), slice(1000, None), False),
    ],
)
def test_two_arrays_with_the_same_images_are_told(
    training: slice, validation: slice, *, is_told: bool
) -> None:
    found = told(data(training), data(validation, name="other"))
    assert bool(found) == is_told
    assert ("at least" in found) == is_told


def test_data_sets_of_other_kinds_are_compared_too() -> None:
    pairs = [
        (torch.from_numpy(image) / 255, int(label))
        for image, label in zip(IMAGES, LABELS, strict=True)
    ]
    assert told(from_map_dataset("training", pairs), from_map_dataset("other", pairs[:50]))
    assert not told(from_map_dataset("training", pairs[50:]), from_map_dataset("x", pairs[:50]))


def test_each_set_is_named() -> None:
    whole = data()
    found = overlaps(whole, {"validation: a": whole[:10], "test: b": data(name="copy")[:5]})
    assert [text.partition(" samples")[0] for text in found] == [
        "validation: a: 10 of 10",
        "test: b: 5 of 5",
    ]
