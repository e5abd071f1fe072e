"""What a model returns for a batch: its output, nothing without memory, or why it fails."""

import re

import pytest
import torch
from torch import Tensor

from minnorm.acceleration import answer
from minnorm.errors import InputError


def test_the_output_comes_without_gradients_and_unchecked() -> None:
    output = answer(lambda inputs: 2 * inputs, torch.ones(2, requires_grad=True))
    assert output is not None
    assert not output.requires_grad
    assert output.tolist() == [2.0, 2.0]
    assert answer(lambda _: "no logits", torch.ones(2)) == "no logits"  # type: ignore[arg-type]


def test_without_memory_there_is_no_output() -> None:
    def model(inputs: Tensor) -> Tensor:
        raise torch.OutOfMemoryError(f"out of memory for {len(inputs)}")

    assert answer(model, torch.ones(2)) is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({}, "the model cannot take inputs of shape [2, 3] (torch.float32): KeyError: 'layer'"),
        (
            {"what": "an example", "where": "data.npz"},
            "the model cannot take an example of shape [2, 3] (torch.float32) from data.npz: Key",
        ),
    ],
)
def test_an_error_names_the_batch_and_its_source(names: dict[str, str], expected: str) -> None:
    def model(_: Tensor) -> Tensor:
        raise KeyError("layer")

    with pytest.raises(InputError, match=re.escape(expected)):
        answer(model, torch.ones(2, 3), **names)
