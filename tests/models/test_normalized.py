"""Normalized: the arithmetic, the shapes, the mode and the errors."""

import re
from typing import Any

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
    ("mean", "std", "message"),
    [
        ([], [], "mean=[]: expected a finite number, or a list with one for each channel"),
        ("0.5", 1, "mean='0.5': expected a finite number"),
        (True, 1, "mean=True: expected a finite number"),
        (float("nan"), 1, "mean=nan: expected a finite number"),
        (None, 1, "mean=None: expected a finite number"),
        ([[1, 2], [3]], 1, "mean=[[1, 2], [3]]: expected a finite number"),
        (0.5, np.ones((3, 2, 2)), "std=array([[[1., 1.], [1., 1.]], [[1., 1.]"),
        ([0.5], [0.5, 0.5], "the lengths of mean and std differ, 1 and 2: expected one number per"),
        (0.5, 0, "std=0: expected numbers above 0"),
        ([0.5, 0.5], [1, -1], "std=[1, -1]: expected numbers above 0"),
    ],
)
def test_normalized_refuses_other_numbers(mean: Any, std: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Normalized(nn.Identity(), mean, std)


def test_a_std_that_is_0_in_the_dtype_of_the_network_is_refused() -> None:
    assert Normalized(nn.Linear(3, 2), 0.5, 1e-9).std.item() > 0
    with pytest.raises(InputError, match=r"std=1e-09: expected .* also in torch.float16"):
        Normalized(nn.Linear(3, 2).half(), 0.5, 1e-9)


def test_only_a_module_can_be_normalized() -> None:
    with pytest.raises(InputError, match=r"of a function: expected a torch\.nn\.Module"):
        Normalized(lambda inputs: inputs, 0.5, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        (np.full(3, 0.1), np.full(3, 0.25, np.float32)),
        (list(np.full(3, 0.1)), tuple(np.full(3, 0.25, np.float16))),
        (torch.full((3,), 0.1), torch.full((3, 1, 1), 0.25)),
        ([torch.tensor(0.1)] * 3, np.full((1, 3, 1, 1), 0.25)),
        (np.float64(0.1), [0.25] * 3),
        (0.1, 0.25),
    ],
)
def test_numbers_of_any_kind_mean_the_same(mean: Any, std: Any) -> None:
    inputs = torch.rand(2, 3, 4)
    expected = Normalized(nn.Identity(), [0.1] * 3, [0.25] * 3)(inputs)
    assert Normalized(nn.Identity(), mean, std)(inputs).equal(expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_normalized_has_the_dtype_of_its_network(dtype: torch.dtype) -> None:
    inputs = torch.rand(4, 3, dtype=dtype)
    model = Normalized(nn.Linear(3, 2).to(dtype), [0.1, 0.2, 0.3], [0.5, 0.25, 2.0])
    assert model.mean.dtype == model.std.dtype == model(inputs).dtype == dtype
    later = Normalized(nn.Linear(3, 2), [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]).to(dtype)
    torch.testing.assert_close(later.mean, model.mean, rtol=1e-6, atol=0)
    assert later(inputs).dtype == dtype


def test_a_network_without_parameters_takes_the_default_dtype() -> None:
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert Normalized(nn.Flatten(), 0.1, 0.5).mean.dtype == torch.float64
        assert Normalized(nn.Linear(3, 2).float(), 0.1, 0.5).mean.dtype == torch.float32
    finally:
        torch.set_default_dtype(before)


def test_normalized_is_on_the_device_of_its_network() -> None:
    with torch.device("meta"):
        made_there = Normalized(nn.Linear(3, 2), [0.1, 0.2, 0.3], 0.25)
    moved = Normalized(nn.Linear(3, 2), [0.1, 0.2, 0.3], 0.25).to("meta")
    assert Normalized(nn.Linear(3, 2, device="meta"), 0.1, 0.25).mean.is_meta
    for model in (made_there, moved):
        assert model.mean.is_meta
        assert model.std.is_meta
        model.to_empty(device="cpu")  # which leaves random numbers in weights
        torch.testing.assert_close(model.mean, torch.tensor([0.1, 0.2, 0.3]))
        torch.testing.assert_close(model.std, torch.full((3,), 0.25))


def test_normalized_takes_frozen_torchscript() -> None:
    scripted = torch.jit.freeze(torch.jit.script(nn.Linear(3, 2).eval()))
    model = Normalized(scripted, 0.5, 0.25)
    inputs = torch.rand(4, 3)
    assert not model.training
    torch.testing.assert_close(model(inputs), scripted((inputs - 0.5) / 0.25))


def test_normalized_refuses_inputs_with_another_number_of_channels() -> None:
    model = Normalized(nn.Flatten(), [0.5, 0.5, 0.5], [1.0, 1.0, 1.0])
    with pytest.raises(InputError, match=r"shape \[2, 1, 4, 4\]; expected 3 channels"):
        model(torch.zeros(2, 1, 4, 4))
    one_for_all = Normalized(nn.Flatten(), [0.5], [2.0])
    assert torch.equal(one_for_all(torch.ones(2, 3, 4, 4)), torch.full((2, 48), 0.25))


@pytest.mark.parametrize("training", [False, True])
def test_normalized_is_in_the_mode_of_its_model(training: bool) -> None:
    assert Normalized(nn.Linear(3, 2).train(training), [0.5], [0.5]).training == training
