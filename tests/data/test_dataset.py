"""Data from arrays and from map-style data sets: batches, slices, fingerprints."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minnorm.data import Data, as_data, from_arrays
from minnorm.data.dataset import drawn, evenly_spaced
from minnorm.errors import InputError


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


@pytest.mark.parametrize("shape", [(), (5,), (3, 2, 2)], ids=str)
def test_the_shape_of_a_sample(shape: tuple[int, ...]) -> None:
    data = from_arrays("x", np.zeros((4, *shape), np.uint8), np.zeros(4, np.int64))
    assert data.sample_shape == data[2:].sample_shape == shape


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


PIXELS = np.arange(256, dtype=np.uint8)[:, None]


def test_8_bit_values_have_the_scale_of_the_bounds() -> None:
    data = from_arrays("x", PIXELS, np.zeros(256, int))
    whole = data.within((0, 255))
    assert whole.batch(range(256))[0].flatten().tolist() == list(range(256))
    assert whole.within((0.0, 1.0)).batch(range(256))[0].equal(data.batch(range(256))[0])
    assert whole[::2].batch([1])[0].tolist() == [[2.0]]
    assert whole.fingerprint == data.fingerprint


@pytest.mark.parametrize("kind", [torch.from_numpy, np.array])
@pytest.mark.parametrize("form", ["pair", "data set"])
def test_the_scale_of_8_bit_values_does_not_depend_on_their_container(
    kind: Callable[..., Any], form: str
) -> None:
    images = kind(PIXELS)
    pairs = [(image, 0) for image in images]
    data = as_data(pairs if form == "data set" else (images, [0] * 256)).within((0, 255))
    inputs, _ = data.batch([0, 51, 255])
    assert inputs.dtype == torch.float32
    assert inputs.flatten().tolist() == [0, 51, 255]


@pytest.mark.parametrize("bounds", [(-1, 1), (0, 0.5), (0, 256), (-2.1, 2.6), (1, 255)])
def test_8_bit_values_and_other_bounds_are_refused(bounds: tuple[float, float]) -> None:
    data = from_arrays("mine", PIXELS, np.zeros(256, int))
    with pytest.raises(InputError, match=r"mine holds 8-bit values .* expected \(0, 1\)"):
        data.within(bounds)


def test_floating_point_values_stay_as_they_are_within_any_bounds() -> None:
    data = _numbered()
    assert data.within((-3, 300)) is data


@pytest.mark.parametrize("part", [3, -1, [0, 1], "a", None])
def test_only_slices_are_taken(part: Any) -> None:
    with pytest.raises(InputError, match=r"numbers\[.*\]: expected a slice, .* data.batch"):
        _numbered()[part]


@given(st.integers(1, 2000), st.integers(0, 2500), st.integers(0, 5))
def test_drawn_positions_are_in_order_and_repeat(count: int, most: int, seed: int) -> None:
    positions = drawn(count, most, seed)
    assert positions == drawn(count, most, seed)
    assert len(positions) == min(count, most)
    assert positions == sorted(set(positions))
    assert set(positions) <= set(range(count))


def test_drawn_positions_do_not_follow_a_pattern_of_the_data() -> None:
    labels = np.repeat(np.arange(10), 100)
    counts = np.bincount(labels[drawn(1000, 100)], minlength=10)
    assert counts.min() >= 3
    assert counts.max() <= 20
    assert np.bincount(np.arange(1000)[drawn(1000, 100)] % 10, minlength=10).min() >= 3


def test_the_drawn_positions_never_change() -> None:
    assert drawn(1000, 5) == [298, 553, 672, 859, 993]
    assert drawn(1000, 5, seed=1) != drawn(1000, 5)
