"""Data from arrays and from map-style data sets: batches, slices, fingerprints."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minnorm.data import Data, from_arrays
from minnorm.data.dataset import evenly_spaced


def _numbered(count: int = 10) -> Data:
    """Return a data set whose inputs and labels are their own positions."""
    return from_arrays("numbers", np.arange(count, dtype=np.float32)[:, None], np.arange(count))


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
