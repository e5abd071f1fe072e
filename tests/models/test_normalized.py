"""Normalized: the arithmetic, the shapes, the mode and the errors."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from minnorm.errors import InputError
from minnorm.models import Normalized


def test_normalized_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    inputs = torch.rand(2, 3, 4, 5)
    expected = (inputs.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    found = Normalized(nn.Identity(), mean, std)(inputs)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 7), (2, 3, 2, 2, 2), (0, 3, 4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalized_takes_inputs_with_any_dimensions(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    inputs = torch.ones(shape, dtype=dtype)
    found = Normalized(nn.Identity(), [1, 0, 0.5], [1, 2, 0.5]).to(dtype)(inputs)
    expected = torch.tensor([0, 0.5, 1], dtype=dtype).view(1, 3, *(1,) * (len(shape) - 2))
    assert found.equal(expected.expand(shape))


def test_normalized_adds_nothing_to_the_weights() -> None:
    model = Normalized(nn.Linear(3, 2), [0.5] * 3, [0.5] * 3)
    assert set(model.state_dict()) == {"model.weight", "model.bias"}
    assert model.to(torch.float64).mean.dtype == torch.float64


@pytest.mark.parametrize(
    ("mean", "std"), [([], []), ([0.5], [0.5, 0.5]), ([0.5], [0.0]), ([0.5, 0.5], [1, -1])]
)
def test_normalized_refuses_other_numbers(mean: list[float], std: list[float]) -> None:
    message = f"mean={mean}, std={std}: expected two lists with one number per channel"
    with pytest.raises(InputError, match=re.escape(message)):
        Normalized(nn.Identity(), mean, std)


def test_normalized_refuses_inputs_with_another_number_of_channels() -> None:
    model = Normalized(nn.Flatten(), [0.5, 0.5, 0.5], [1.0, 1.0, 1.0])
    with pytest.raises(InputError, match=r"shape \[2, 1, 4, 4\]; expected 3 channels"):
        model(torch.zeros(2, 1, 4, 4))
    one_for_all = Normalized(nn.Flatten(), [0.5], [2.0])
    assert torch.equal(one_for_all(torch.ones(2, 3, 4, 4)), torch.full((2, 48), 0.25))


@pytest.mark.parametrize("training", [False, True])
def test_normalized_is_in_the_mode_of_its_model(training: bool) -> None:
    assert Normalized(nn.Linear(3, 2).train(training), [0.5], [0.5]).training == training
