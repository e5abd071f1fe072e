"""Data as users hold them in Python: what is taken, and what is refused with what to do."""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
)

from minnorm.data import Data, as_data, from_arrays
from minnorm.errors import InputError

IMAGES = torch.arange(12.0).reshape(4, 3) / 12
LABELS = torch.tensor([0, 1, 0, 1])
DATASET = TensorDataset(IMAGES, LABELS)


class Stream(IterableDataset[Any]):
    """A data set that is read in order."""

    def __iter__(self) -> Iterator[Any]:
        return iter(DATASET)


class Endless(Dataset[Any]):
    """A data set without a length."""

    def __getitem__(self, index: int) -> Any:
        return DATASET[index % 4]


def test_as_data_takes_data_specs_pairs_and_data_sets() -> None:
    images, labels = torch.rand(4, 2), torch.tensor([0, 1, 0, 1])
    data = from_arrays("mine", images, labels)
    assert as_data(data) is data
    assert as_data("mnist-sample[:5]").indices == range(5)
    for value in (
        (images, labels),
        [images.numpy(), labels.numpy()],
        TensorDataset(images, labels),
    ):
        made: Data = as_data(value, "given")
        assert made.name == "given"
        assert made.batch(range(4))[0].equal(images)


@pytest.mark.parametrize(
    "value",
    [
        {"images": IMAGES, "labels": LABELS},
        {"image": IMAGES.numpy(), "label": LABELS.numpy(), "id": [1, 2, 3, 4]},
        (IMAGES.tolist(), LABELS.tolist()),
        ([*IMAGES], [*LABELS]),
        list(zip(IMAGES, LABELS, strict=True)),
        [{"image": image, "label": label} for image, label in zip(IMAGES, LABELS, strict=True)],
        DataLoader(DATASET, batch_size=3),
        DataLoader(DATASET, shuffle=True),
    ],
)
def test_labeled_samples_of_any_container_are_taken(value: Any) -> None:
    inputs, labels = as_data(value).batch(range(4))
    torch.testing.assert_close(inputs.float(), IMAGES)
    assert labels.equal(LABELS)


def test_the_arrays_of_a_file_and_its_path_are_taken(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", images=IMAGES.numpy(), labels=LABELS.numpy())
    assert len(as_data(tmp_path / "mine.npz")) == 4
    with np.load(tmp_path / "mine.npz") as arrays:
        assert len(as_data(arrays)) == 4


def test_a_list_of_pictures_with_labels_is_taken() -> None:
    pictures = [Image.new("RGB", (4, 2), (255, 0, 51)), Image.new("RGB", (4, 2))]
    inputs, labels = as_data((pictures, [1, 0])).batch([0, 1])
    assert (inputs.shape, labels.tolist()) == ((2, 3, 2, 4), [1, 0])
    torch.testing.assert_close(inputs[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.2]))
    for wrong in ([1, 0, 0], 1, None):
        with pytest.raises(InputError, match=r"images have shape \[2\] and labels"):
            as_data((pictures, wrong))


def test_two_labeled_samples_are_no_pair_of_inputs_and_labels() -> None:
    data = as_data([(IMAGES[0], 0), (IMAGES[1], 1)])
    assert data.batch([0, 1])[1].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        (DataLoader(Stream()), "it is read in order"),
        (DataLoader(DATASET, collate_fn=list), "it has a collate_fn"),
        (DataLoader(DATASET, sampler=SubsetRandomSampler([0, 1])), "it has a sampler"),
        (DataLoader(DATASET, sampler=RandomSampler(DATASET, replacement=True)), "it has a sampler"),
        (DataLoader(DATASET, sampler=RandomSampler(DATASET, num_samples=1)), "it has a sampler"),
        (DataLoader(DATASET, sampler=SequentialSampler([0])), "it has a sampler"),
    ],
)
def test_a_loader_that_changes_the_samples_is_refused(loader: Any, reason: str) -> None:
    with pytest.raises(InputError, match=rf"this DataLoader .* {reason}.*loader.dataset"):
        as_data(loader)


@pytest.mark.parametrize("number", [2, 3])
def test_batches_are_refused_with_the_alternative(number: int) -> None:
    batches = list(DataLoader(DATASET, batch_size=2)) * number
    with pytest.raises(InputError, match=r"2 labels. For batches, pass the data set itself"):
        as_data(batches[:number])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (iter(DATASET), "it is read in order, .* Pass list"),
        (Stream(), "it is read in order, .* Pass list"),
        (IMAGES, r"one Tensor as data: its labels are missing; pass .* a pair \(inputs, labels\)"),
        (IMAGES.numpy(), "one ndarray as data: its labels are missing"),
        ({"train": DATASET, "test": DATASET}, r"keys 'train', 'test'; .* data\['test'\]"),
        ({}, "no keys"),
        (types.SimpleNamespace(columns=["a"]), r"it is a table. .* table\['label'\].to_numpy\(\)"),
        ((IMAGES, LABELS, LABELS), r"a tuple of 3 as data; expected a pair \(inputs, labels\)"),
        (Endless(), "it has no length. Give it a __len__ method"),
        (b"mnist", "cannot use bytes as data: pass a spec"),
        ([], "data has no samples"),
        (from_arrays("mine", IMAGES, LABELS)[4:], "this slice of mine has no samples"),
    ],
)
def test_other_values_are_refused_with_what_to_do(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_data(value)


@pytest.mark.parametrize("value", [None, 3, object()])
def test_as_data_refuses_other_values(value: object) -> None:
    with pytest.raises(InputError, match=f"cannot use {type(value).__name__} as data"):
        as_data(value)
