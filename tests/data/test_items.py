"""Map-style data sets: items, labels, and what is refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset, TensorDataset

from minnorm.data import Data, from_map_dataset
from minnorm.errors import InputError


class Pairs:
    """A map-style data set of given pairs."""

    def __init__(self, pairs: Sequence[Any]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Any:
        return self.pairs[index]


@pytest.mark.parametrize("make", [torch.tensor, np.array, list])
def test_a_map_style_data_set_is_read_item_by_item(make: Any) -> None:
    dataset = Pairs([(make([float(index), 0.0]), index % 3) for index in range(40)])
    data = from_map_dataset("pairs", dataset)
    assert (data.name, len(data), data.classes) == ("pairs", 40, ())
    inputs, labels = data[::-1].batch([0, 2])
    assert inputs[:, 0].tolist() == [39, 37]
    assert labels.tolist() == [0, 1]
    assert labels.dtype == torch.int64


def test_items_may_be_of_bfloat16() -> None:
    data = from_map_dataset("pairs", Pairs([(torch.ones(2, dtype=torch.bfloat16), 0)]))
    assert data.batch([0])[0].dtype == torch.bfloat16


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


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (
            [(torch.zeros(3, 4, 4), 0), (torch.zeros(3, 5, 5), 0)],
            r"shapes \[3, 4, 4\], \[3, 5, 5\]",
        ),
        ([(torch.zeros(1), 0, 0)], r"sample 0 .* a tuple of 3; expected a pair \(input, label\)"),
        ([(torch.zeros(1), "cat")], "sample 0: labels are text, for example cat"),
        ([(torch.zeros(1), 0.5)], "sample 0: labels are float64, for example 0.5"),
        ([("image", 0)], "sample 0 .* its input is a str; expected a tensor, an array or an image"),
        (
            [(torch.zeros(1, dtype=torch.int64), 0)],
            "input is torch.int64; expected torch.uint8",
        ),
        ([torch.tensor(0.5)], r"an item is a Tensor; expected a pair \(input, label\)"),
        ([{"x": torch.zeros(1), "y": 0}], "an item has the keys x, y; expected one for the input"),
        ([(torch.zeros(4, 3), torch.tensor([0, 1, 0, 2]))], "4 labels. For batches, pass the data"),
    ],
)
def test_items_that_do_not_form_a_batch_are_refused(pairs: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^mine: .*{message}"):
        from_map_dataset("mine", Pairs(pairs))


def test_inputs_of_8_bits_are_not_mixed_with_others() -> None:
    eight, single = torch.full((2,), 255, dtype=torch.uint8), torch.ones(2)
    with pytest.raises(InputError, match="some inputs are 8-bit integers and others are not"):
        from_map_dataset("x", Pairs([(eight, 0), (single, 0)]))
    late = Pairs([(eight, 0)] * 31 + [(single, 0)])  # the last one is not read at the start
    data = from_map_dataset("x", late)
    with pytest.raises(InputError, match="some inputs are 8-bit integers and others are not"):
        data.batch([31])


@pytest.mark.parametrize(
    "label",
    [1, 1.0, "1", np.int32(1), torch.tensor(1), torch.tensor([1]), np.array(1.0), np.eye(3)[1]],
)
def test_labels_of_items_with_one_meaning_are_taken(label: Any) -> None:
    _, labels = from_map_dataset("x", Pairs([(torch.zeros(2), label)])).batch([0])
    assert labels.tolist() == [1]
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("key", ["image", "img", "pixel_values"])
def test_items_may_be_mappings_of_an_image_and_a_label(key: str) -> None:
    item = {"id": 7, key: Image.new("RGB", (4, 2), (255, 0, 51)), "label": 1}
    inputs, labels = from_map_dataset("x", Pairs([item])).batch([0])
    torch.testing.assert_close(inputs[0, :, 1, 3], torch.tensor([1.0, 0.0, 0.2]))
    assert (inputs.shape, labels.tolist()) == ((1, 3, 2, 4), [1])


def test_pictures_of_8_and_16_bits_have_one_scale() -> None:
    pictures = [Image.new("L", (2, 2), 51), Image.fromarray(np.full((2, 2), 13107, np.uint16))]
    data = from_map_dataset("x", Pairs([(picture, 0) for picture in pictures]))
    torch.testing.assert_close(data.batch([0, 1])[0], torch.full((2, 1, 2, 2), 0.2))


@pytest.mark.parametrize(
    "dataset",
    [
        TensorDataset(torch.zeros(4, 1), torch.tensor([0, 0, 1, 1])),
        Subset(TensorDataset(torch.zeros(6, 1), torch.tensor([9, 0, 0, 1, 1, 9])), [1, 2, 3, 4]),
        [(torch.zeros(1), label) for label in (0, 0, 1, 1)],
    ],
)
def test_labels_are_known_if_they_can_be_had_without_reading_inputs(dataset: Any) -> None:
    data = from_map_dataset("x", dataset)
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("targets", [None, [0], "cats", [0.5] * 4, torch.zeros(4, 2, 2)])
def test_attributes_that_are_no_labels_are_ignored(targets: Any) -> None:
    dataset = Pairs([(torch.zeros(1), 0)] * 4)
    dataset.targets = targets  # type: ignore[attr-defined]  # as torchvision's sets have it
    assert from_map_dataset("x", dataset).labels is None


def test_an_empty_map_style_data_set_is_refused() -> None:
    with pytest.raises(InputError, match="mine has no samples"):
        from_map_dataset("mine", Pairs([]))
