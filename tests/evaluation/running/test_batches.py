"""Batches: read in the model's dtype and on its device, checked, and classified."""

import pytest
import torch
from torch import nn

from attacks.networks import problem
from minnorm.data import as_data
from minnorm.errors import InputError
from minnorm.evaluation.running.batches import read_batch


def test_a_batch_holds_the_samples_and_the_logits_of_the_model() -> None:
    model, inputs, labels = problem((3, 4), batch=8)
    batch = read_batch(model, as_data((inputs, labels))[2:], range(1, 4), (0.0, 1.0))
    assert batch.indices == [3, 4, 5]
    assert torch.equal(batch.inputs, inputs[3:6])
    assert torch.equal(batch.labels, labels[3:6])
    with torch.no_grad():
        assert torch.equal(batch.logits, model(inputs[3:6]))
    assert not batch.logits.requires_grad


def test_a_batch_has_the_dtype_of_the_model() -> None:
    model, inputs, labels = problem((3, 4), dtype=torch.float64)
    batch = read_batch(model, as_data((inputs.float(), labels)), range(8), (0.0, 1.0))
    assert batch.inputs.dtype == batch.logits.dtype == torch.float64
    assert torch.equal(batch.inputs, inputs.float().double())


@pytest.mark.parametrize(
    ("value", "message"), [(torch.nan, "hold NaN"), (1.5, r"range from .* to 1\.5, outside the")]
)
def test_bad_samples_are_named(value: float, message: str) -> None:
    model, inputs, labels = problem((3, 4), batch=12)
    inputs[9, 0, 0] = value
    data = as_data((inputs, labels), "mine")[4:]
    read_batch(model, data, range(5), (0.0, 1.0))
    with pytest.raises(InputError, match=f"^mine, samples 8 to 11: inputs {message}"):
        read_batch(model, data, range(4, 8), (0.0, 1.0))


def test_labels_beyond_the_logits_are_refused_with_the_name_of_the_data() -> None:
    model, inputs, labels = problem((3, 4), classes=5)
    labels[3] = 5
    with pytest.raises(InputError, match=r"^mine: labels range from 1 to 5, but the model has 5"):
        read_batch(model, as_data((inputs, labels), "mine"), range(8), (0.0, 1.0))


def test_a_model_that_fails_on_a_batch_is_refused() -> None:
    _, inputs, labels = problem((3, 4))
    with pytest.raises(InputError, match=r"failed on inputs of shape \[8, 3, 4\] .* from mine"):
        read_batch(nn.Linear(3, 2), as_data((inputs, labels), "mine"), range(8), (0.0, 1.0))
