"""The default attack takes inputs and labels as an evaluation does: arrays, lists, any integers."""

from collections.abc import Callable
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from attacks.networks import problem
from minnorm.attacks import attack
from minnorm.errors import InputError

CLASSES = 5


@pytest.fixture(autouse=True)
def _users_have_no_checks_of_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def network() -> tuple[nn.Module, Tensor, Tensor]:
    """Return a network, and inputs that eight bits hold exactly."""
    model, inputs, labels = problem((3, 4), classes=CLASSES)
    return model, (inputs * 255).round() / 255, labels


@pytest.mark.parametrize(
    "given",
    [
        lambda inputs: inputs.numpy(),
        lambda inputs: inputs.double().numpy(),
        lambda inputs: inputs.tolist(),
        lambda inputs: (inputs * 255).round().byte(),
        lambda inputs: (inputs * 255).round().byte().numpy(),
    ],
    ids=["array", "float64", "list", "8 bits", "array of 8 bits"],
)
def test_inputs_may_be_arrays_and_of_8_bits(given: Callable[[Tensor], Any]) -> None:
    model, inputs, labels = network()
    expected = attack(model, inputs, labels, budget=10)
    found = attack(model, given(inputs), labels, budget=10)
    assert found.adversarials.dtype == torch.float32
    assert torch.allclose(found.distances, expected.distances, rtol=1e-4)


@pytest.mark.parametrize(
    "given",
    [
        lambda labels: labels.numpy(),
        lambda labels: labels.int(),
        lambda labels: labels.byte(),
        lambda labels: labels.numpy().astype(np.uint8),
        lambda labels: labels.tolist(),
        lambda labels: labels.float(),
        lambda labels: labels.unsqueeze(1),
        lambda labels: one_hot(labels, CLASSES),
    ],
    ids=["array", "int32", "uint8", "array of uint8", "list", "float", "column", "one-hot"],
)
@pytest.mark.parametrize("targeted", [False, True])
def test_labels_may_be_any_whole_numbers(given: Callable[[Tensor], Any], targeted: bool) -> None:
    model, inputs, labels = network()
    expected = attack(model, inputs, labels, budget=10, targeted=targeted)
    found = attack(model, inputs, given(labels), budget=10, targeted=targeted)
    assert torch.equal(found.adversarials, expected.adversarials)


def test_arrays_take_the_dtype_of_the_model() -> None:
    model, inputs, labels = network()
    found = attack(model.double(), inputs.numpy(), labels.numpy(), budget=10)
    assert found.adversarials.dtype == torch.float64


def test_8_bit_values_keep_their_scale_if_the_bounds_are_theirs() -> None:
    model, inputs, labels = network()
    scaled = attack(model, inputs, labels, budget=10)

    def on_8_bits(points: Tensor) -> Tensor:
        logits: Tensor = model(points / 255)
        return logits

    pixels = (inputs * 255).round().byte().numpy()
    found = attack(on_8_bits, pixels, labels, budget=10, bounds=(0, 255))
    assert torch.allclose(found.distances / 255, scaled.distances, rtol=1e-2)


def test_starts_may_be_arrays() -> None:
    model, inputs, labels = network()
    starts = attack(model, inputs, labels, budget=10).adversarials
    expected = attack(model, inputs, labels, budget=10, starts=starts)
    found = attack(model, inputs.numpy(), labels, budget=10, starts=starts.double().numpy())
    assert torch.equal(found.adversarials, expected.adversarials)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0]}, "expected .* one for each input|labels .1."),
        ({"labels": ["cat"] * 8}, "expected whole numbers from 0"),
        ({"labels": [0.5] * 8}, "expected whole numbers from 0"),
        ({"inputs": np.zeros((8, 3, 4), np.int16)}, "expected uint8"),
        ({"bounds": None}, r"bounds=None: expected \(low, high\)"),
        ({"bounds": (1, 0)}, r"expected \(low, high\), two numbers with low < high"),
        ({"inputs": np.zeros((8, 3, 4), np.uint8), "bounds": (-1, 1)}, "unclear how to scale"),
    ],
    ids=str,
)
def test_what_has_no_clear_meaning_is_refused(changes: dict[str, Any], message: str) -> None:
    model, inputs, labels = network()
    with pytest.raises(InputError, match=message):
        attack(model, **{"inputs": inputs, "labels": labels, **changes}, budget=10)
