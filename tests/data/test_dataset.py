"""Data from arrays and from map-style data sets: batches, slices, fingerprints."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minnorm.data import Data, from_arrays, from_map_dataset
from minnorm.data.dataset import checksum, evenly_spaced
from minnorm.errors import InputError


def _numbered(count: int = 10) -> Data:
    """Return a data set whose inputs and labels are their own positions."""
    return from_arrays("numbers", np.arange(count, dtype=np.float32)[:, None], np.arange(count))


class Pairs:
    """A map-style data set of given pairs."""

    def __init__(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.pairs[index]


def test_8_bit_values_are_scaled_to_0_to_1_and_labels_are_int64() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(2, 1, 1, 3) * 51
    inputs, labels = from_arrays("x", images, np.array([3, 4], np.uint8)).batch([1, 0])
    assert inputs.dtype == torch.float32
    assert labels.dtype == torch.int64
    torch.testing.assert_close(inputs[1, 0, 0], torch.tensor([0.0, 0.2, 0.4]))
    assert labels.tolist() == [4, 3]


def test_bfloat16_is_widened() -> None:
    images = torch.tensor([[-1.0, 300.0], [0.5, 0.0]], dtype=torch.bfloat16)
    inputs, _ = from_arrays("x", images, torch.tensor([0, 1])).batch([0, 1])
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, images.float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_floating_point_values_stay_as_they_are(dtype: torch.dtype) -> None:
    images = torch.tensor([[-1.0, 300.0], [0.5, 0.0]], dtype=dtype)
    inputs, _ = from_arrays("x", images, torch.tensor([0, 1])).batch([0, 1])
    assert inputs.dtype == dtype
    assert torch.equal(inputs, images)


def test_arrays_of_the_other_byte_order_are_read() -> None:
    data = from_arrays("x", np.array([[1.5], [2.5]], ">f4"), np.array([0, 1], ">i8"))
    inputs, labels = data.batch([1])
    assert (inputs.tolist(), labels.tolist()) == ([[2.5]], [1])


def test_samples_may_have_no_dimension() -> None:
    inputs, labels = from_arrays("x", np.array([0.25, 0.5]), np.array([1, 0])).batch([1])
    assert (inputs.tolist(), labels.tolist()) == ([0.5], [0])


def test_a_batch_may_be_empty() -> None:
    inputs, labels = _numbered().batch([])
    assert (inputs.shape, labels.shape) == ((0, 1), (0,))


def test_a_batch_is_a_copy() -> None:
    images = np.zeros((2, 3), np.float32)
    data = from_arrays("x", images, np.array([0, 1]))
    data.batch([0, 1])[0].fill_(7)
    assert not images.any()


BOUNDS = st.none() | st.integers(-15, 15)
PARTS = st.builds(slice, BOUNDS, BOUNDS, BOUNDS.filter(lambda step: step != 0))


@given(PARTS, PARTS)
def test_slices_of_slices_keep_the_positions_in_the_whole_set(first: slice, second: slice) -> None:
    part = _numbered()[first][second]
    expected = list(range(10))[first][second]
    assert list(part.indices) == expected
    assert len(part) == len(expected)
    inputs, labels = part.batch(range(len(part)))
    assert inputs.squeeze(1).tolist() == labels.tolist() == expected
    assert part.fingerprint == _numbered().fingerprint


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.ones((2, 3), np.float32), np.array([0, 2])),
        (np.array([[1, 1, 1], [1, 1, 0.5]], np.float32), np.array([0, 1])),
        (np.ones((3, 2), np.float32)[:2], np.array([0, 1])),
        (np.ones((2, 1, 3), np.float32), np.array([0, 1])),
        (np.ones((2, 3), np.float32).view(np.uint8), np.array([0, 1])),
    ],
    ids=["label", "value", "size", "shape", "dtype"],
)
def test_the_fingerprint_changes_with_the_content(
    images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]
) -> None:
    original = from_arrays("x", np.ones((2, 3), np.float32), np.array([0, 1]))
    assert from_arrays("x", images, labels).fingerprint != original.fingerprint


def test_the_fingerprint_does_not_depend_on_name_container_or_memory_layout() -> None:
    images, labels = np.random.default_rng(0).random((4, 3), np.float32), np.arange(4)
    found = {
        from_arrays("x", images, labels).fingerprint,
        from_arrays("y", torch.from_numpy(images), torch.from_numpy(labels)).fingerprint,
        from_arrays("x", np.asfortranarray(images), labels).fingerprint,
    }
    assert len(found) == 1
    assert all(len(fingerprint) == 64 for fingerprint in found)


def test_a_given_fingerprint_is_kept() -> None:
    data = from_arrays("x", np.zeros((1, 1)), np.array([0]), fingerprint="known")
    assert data.fingerprint == "known"


def test_checksums_are_of_the_values_in_c_order() -> None:
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    assert checksum(array) == checksum(np.asfortranarray(array))
    assert checksum(array) != checksum(array.T)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.ones((2, 3)), np.array([0]), r"x: images have shape \[2, 3\] and labels \[1\]"),
        (np.ones((2, 3)), np.zeros((2, 1), int), r"labels \[2, 1\]; expected \[n, ...\] and \[n\]"),
        (np.array(1.0), np.array(1), r"images have shape \[\]"),
        (np.ones((0, 3)), np.zeros(0, int), "x has no samples"),
        (np.ones((1, 3)), np.array([0.5]), "labels are float64; expected whole numbers"),
        (np.ones((1, 3)), np.array([True]), "labels are bool; expected whole numbers"),
        (np.ones((1, 3), int), np.array([0]), "images are int64; expected uint8"),
    ],
)
def test_arrays_that_are_not_labeled_samples_are_refused(
    images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        from_arrays("x", images, labels)


@pytest.mark.parametrize("make", [torch.tensor, np.array, list])
def test_a_map_style_data_set_is_read_item_by_item(make: Any) -> None:
    dataset = Pairs([(make([float(index), 0.0]), index % 3) for index in range(40)])
    data = from_map_dataset("pairs", dataset)
    assert (data.name, len(data), data.classes) == ("pairs", 40, ())
    inputs, labels = data[::-1].batch([0, 2])
    assert inputs[:, 0].tolist() == [39, 37]
    assert labels.tolist() == [0, 1]
    assert labels.dtype == torch.int64


def test_the_8_bit_items_of_a_map_style_data_set_are_scaled() -> None:
    dataset = Pairs([(torch.tensor([0, 51, 255], dtype=torch.uint8), torch.tensor(1))])
    inputs, labels = from_map_dataset("pairs", dataset).batch([0])
    torch.testing.assert_close(inputs, torch.tensor([[0.0, 0.2, 1.0]]))
    assert labels.tolist() == [1]


def test_the_classes_of_a_map_style_data_set_are_kept() -> None:
    dataset = Pairs([(torch.zeros(1), 0)])
    dataset.classes = ["cat", "dog"]  # type: ignore[attr-defined]  # as torchvision's sets have it
    assert from_map_dataset("pairs", dataset).classes == ("cat", "dog")


def test_the_fingerprint_of_a_map_style_data_set_changes_with_content_and_length() -> None:
    def pairs(count: int, first: float = 0.0, label: int = 0) -> Data:
        return from_map_dataset("x", Pairs([(torch.tensor([first]), label)] * count))

    different = [pairs(5), pairs(6), pairs(5, first=1.0), pairs(5, label=1)]
    assert len({data.fingerprint for data in different}) == 4
    assert pairs(5).fingerprint == pairs(5).fingerprint


def _images(*sizes: int) -> list[tuple[Tensor, int]]:
    return [(torch.zeros(3, size, size), 0) for size in sizes]


@pytest.mark.parametrize(
    "pairs",
    [
        _images(4, 5),
        [(torch.zeros(1), 0, 0)],
        [(torch.zeros(1), "cat")],
        [("image", 0)],
        [torch.tensor(0.5)],
    ],
    ids=["sizes", "triples", "label", "input", "no pair"],
)
def test_items_that_do_not_form_a_batch_are_refused(pairs: Any) -> None:
    with pytest.raises(InputError, match=r"mine: its items cannot be stacked into a batch"):
        from_map_dataset("mine", Pairs(pairs))


def test_an_empty_map_style_data_set_is_refused() -> None:
    with pytest.raises(InputError, match="mine has no samples"):
        from_map_dataset("mine", Pairs([]))


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(10, 5, [0, 2, 4, 6, 8]), (10, 4, [0, 2, 5, 7]), (3, 16, [0, 1, 2]), (1, 1, [0]), (5, 1, [0])],
)
def test_positions_are_evenly_spaced_from_the_first(
    count: int, most: int, expected: list[int]
) -> None:
    assert evenly_spaced(count, most) == expected


@given(st.integers(1, 10_000), st.integers(1, 50))
def test_evenly_spaced_positions_differ_and_leave_no_wide_gap(count: int, most: int) -> None:
    positions = evenly_spaced(count, most)
    assert len(positions) == min(count, most)
    gaps = [
        after - before for before, after in zip(positions, [*positions[1:], count], strict=True)
    ]
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1
