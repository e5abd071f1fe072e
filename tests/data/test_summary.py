"""What a data set holds, in words."""

import numpy as np
import torch

from minnorm.data import description, from_arrays, from_map_dataset


def test_a_data_set_is_described_by_size_values_and_labels() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(6, 2) * 17
    data = from_arrays("mine", images, [2, 0, 2, 0, 2, 2], classes=("cat", "dog", "elk"))
    assert description(data) == {
        "data": "mine",
        "samples": "6",
        "shape of an input": "[2]",
        "values": "0 to 0.7333 in 6 samples",
        "label 0": "cat, 2 samples",
        "label 1": "dog, no samples",
        "label 2": "elk, 4 samples",
    }


def test_only_the_slice_is_described() -> None:
    data = from_arrays("mine", np.ones((2000, 3)), np.arange(2000) % 2, classes=())
    found = description(data[:1500])
    assert found["samples"] == "1,500"
    assert found["values"] == "1 to 1 in 100 samples"
    assert found["label 1"] == "750 samples"


def test_labels_that_are_unknown_before_samples_are_read_have_no_count() -> None:
    class Numbers:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return torch.full((2,), index / 4), index // 2

    found = description(from_map_dataset("numbers", Numbers()))
    assert (found["label 0"], found["label 1"]) == ("at least 1 sample", "at least 1 sample")
    assert found["values"] == "0 to 0.75 in 4 samples"
