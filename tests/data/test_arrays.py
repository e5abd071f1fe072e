"""Arrays and labels as users hold them: what is converted, and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch

from minnorm.data import from_arrays
from minnorm.data.arrays import checksum
from minnorm.errors import InputError

Values = Any


def test_checksums_are_of_the_values_in_c_order() -> None:
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    assert checksum(array) == checksum(np.asfortranarray(array))
    assert checksum(array) != checksum(array.T)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.ones((2, 3)), np.array([0]), r"x: images have shape \[2, 3\] and labels \[1\]"),
        (np.array(1.0), np.array(1), r"images have shape \[\]"),
        (np.ones((0, 3)), np.zeros(0, int), "x has no samples"),
        (np.ones((1, 3)), np.array([0.5]), "labels are float64, for example 0.5; expected whole"),
        (np.ones((1, 3)), np.array([True]), "labels are bool, for example True; expected whole"),
        (np.ones((1, 3), int), np.array([0]), "images are int64; expected uint8"),
    ],
)
def test_arrays_that_are_not_labeled_samples_are_refused(
    images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        from_arrays("x", images, labels)


THREE = [2, 0, 1]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(THREE, np.uint8),
        np.array(THREE, ">i4"),
        np.array(THREE, np.float32),
        torch.tensor(THREE, dtype=torch.float64),
        np.array(THREE)[:, None],
        torch.tensor(THREE, dtype=torch.float32)[:, None],
        np.eye(3)[THREE],
        np.eye(3, dtype=bool)[THREE],
        torch.nn.functional.one_hot(torch.tensor(THREE)),
        THREE,
        tuple(THREE),
        [torch.tensor(label) for label in THREE],
        ["2", "0", " 1"],
        np.array(["2", "0", "1"], object),
    ],
)
def test_labels_with_one_meaning_are_taken(labels: Values) -> None:
    data = from_arrays("x", np.ones((3, 2)), labels)
    _, found = data.batch([0, 1, 2])
    assert found.dtype == torch.int64
    assert found.tolist() == THREE


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0.5, 1.0]), "labels are float64, for example 0.5; expected whole numbers from"),
        (np.array([np.nan, 1.0]), "labels are float64, for example nan; expected whole numbers"),
        (np.array([np.inf, 1.0]), "labels are float64, for example inf; expected whole numbers"),
        (["cat", "dog"], "labels are text, for example cat; .* positions of the classes"),
        (np.array([[0.2, 0.8], [0.5, 0.5]]), r"are not one-hot; .* pass labels.argmax\(1\)"),
        (np.array([[1, 1], [0, 1]]), r"labels have shape \[2, 2\] and are not one-hot"),
        (np.zeros((2, 2, 2), int), r"and labels \[2, 2, 2\]; expected \[n, ...\] and \[n\]"),
    ],
)
def test_labels_without_one_meaning_are_refused(labels: Values, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_arrays("x", np.ones((2, 3)), labels)


def test_inputs_and_labels_in_the_other_order_are_recognized() -> None:
    with pytest.raises(InputError, match=r"other order\? Pass \(inputs, labels\)"):
        from_arrays("x", np.array([0, 1]), np.ones((2, 3)))


@pytest.mark.parametrize(
    ("images", "hint"),
    [
        (np.full((2, 3), 65535, np.uint16), r"pass numpy.asarray\(images, 'float32'\) / 65535"),
        (
            np.array([[0, 255], [3, 4]]),
            r"are 0 to 255: pass numpy.asarray\(images, 'uint8'\)",
        ),
        (np.array([[-3, 700], [3, 4]]), r"Its values are -3 to 700\.$"),
        (np.ones((2, 3), bool), r"Pass numpy.asarray\(images, 'float32'\)"),
        (np.array([{}, {}]), "elements are Python objects"),
        (["a.png", "b.png"], "images are text; expected uint8"),
        (torch.eye(2).to_sparse(), "the images do not form an array: .* tensors must be dense"),
    ],
)
def test_images_of_another_dtype_are_refused_with_the_conversion(images: Values, hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        from_arrays("x", images, [0, 1])


@pytest.mark.parametrize("convert", [torch.tensor, np.array, list])
def test_images_of_different_sizes_are_refused(convert: Any) -> None:
    images = [convert([0.0, 1.0]), convert([0.0, 1.0, 0.5])]
    with pytest.raises(InputError, match=r"the images do not form an array: .* one common shape"):
        from_arrays("x", images, [0, 1])
