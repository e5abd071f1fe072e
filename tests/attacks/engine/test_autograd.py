"""Gradients with respect to the inputs, and the random numbers of an attack."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minnorm.attacks.engine.autograd import (
    differentiable,
    draw_seed,
    noise_of_sample,
    ordinary,
    own_autograd_mode,
)
from minnorm.errors import InputError


def test_an_attack_has_an_autograd_mode_of_its_own() -> None:
    with torch.inference_mode():
        with own_autograd_mode():
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled()
    with torch.enable_grad(), own_autograd_mode():
        assert not torch.is_grad_enabled()


def test_ordinary_values_have_no_graph_and_are_no_inference_tensors() -> None:
    values = torch.ones(2, requires_grad=True)
    found = ordinary(2 * values)
    assert not found.requires_grad
    plain = torch.ones(2)
    assert ordinary(plain).data_ptr() == plain.data_ptr()
    with torch.inference_mode():
        inferred = torch.ones(2)
    found = ordinary(inferred)
    assert not found.is_inference()
    assert found.tolist() == [1, 1]


def squares(points: Tensor) -> Tensor:
    return torch.stack([points.square().sum(1), points.sum(1)], 1)


@pytest.mark.parametrize("grad", [False, True])
def test_a_forward_pass_allows_several_backward_passes(grad: bool) -> None:
    points = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    calls = []

    def counted(given: Tensor) -> Tensor:
        calls.append(given)
        return squares(given)

    with torch.set_grad_enabled(grad):
        logits, pull_back = differentiable(counted, points)
        first = pull_back(torch.tensor([[1.0, 0.0]] * 2), again=True)
        second = pull_back(torch.tensor([[0.0, 1.0], [-1.0, 2.0]]))
    assert len(calls) == 1
    assert logits.tolist() == [[5, 3], [25, 7]]
    assert first.tolist() == [[2, 4], [6, 8]]
    assert second.tolist() == [[1, 1], [-4, -6]]
    for found in (logits, first, second, points):
        assert not found.requires_grad
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        pull_back(torch.tensor([[1.0, 0.0]] * 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_gradients_are_those_of_pytorch_bit_by_bit(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    model.to(dtype)
    points = torch.randn(5, 4, dtype=dtype)
    cotangents = torch.randn(5, 3, dtype=dtype)
    cotangents[0] = torch.tensor([torch.inf, -0.0, torch.nan], dtype=dtype)
    cotangents[1] = torch.tensor([-0.0, 0.0, torch.finfo(dtype).max], dtype=dtype)
    variables = points.clone().requires_grad_()
    (expected,) = torch.autograd.grad(model(variables), variables, cotangents)
    _, pull_back = differentiable(model, points)
    with torch.no_grad():
        found = pull_back(cotangents)
    assert torch.equal(found.view(torch.uint8), expected.view(torch.uint8))


def test_a_small_evaluation_does_not_import_sympy() -> None:
    code = (
        "import sys, minnorm\n"
        "model = minnorm.load_model('zoo:mnist-cnn')\n"
        "minnorm.evaluate(model, 'mnist-sample[:2]', 'normal_pursuit(budget=3)')\n"
        "assert 'sympy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parameters_and_their_gradients_do_not_change() -> None:
    model = nn.Linear(2, 3)
    _, pull_back = differentiable(model, torch.ones(1, 2, requires_grad=True))
    torch.testing.assert_close(
        pull_back(torch.tensor([[0.0, 1.0, 0.0]])), model.weight.detach()[1:2]
    )
    assert model.weight.grad is None
    assert model.weight.requires_grad


@pytest.mark.parametrize(
    "model",
    [
        lambda points: torch.ones(len(points), 2),
        lambda points: torch.ones(len(points), 2, requires_grad=True),
        lambda points: squares(points.detach()),
    ],
    ids=["constant", "unused", "detached"],
)
def test_a_model_whose_output_does_not_depend_on_the_points_has_zero_gradients(
    model: nn.Module,
) -> None:
    points = torch.ones(3, 4, dtype=torch.float16)
    _, pull_back = differentiable(model, points)
    for again in (True, False):
        gradients = pull_back(torch.ones(3, 2), again=again)
        assert gradients.tolist() == [[0] * 4] * 3
        assert gradients.dtype == torch.float16


def test_a_model_without_a_tensor_is_refused() -> None:
    def model(points: Tensor) -> Any:
        return points, points

    message = r"^the model returned a tuple; expected a tensor of logits\.$"
    with pytest.raises(InputError, match=message):
        differentiable(model, torch.ones(1, 2))


def test_without_a_generator_the_seed_is_fixed() -> None:
    before = torch.random.get_rng_state()
    assert draw_seed(None) == 0
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_generator_gives_one_seed_after_the_other() -> None:
    before = torch.random.get_rng_state()
    generator = torch.Generator().manual_seed(5)
    seeds = [draw_seed(generator) for _ in range(20)]
    assert len(set(seeds)) == 20
    assert min(seeds) >= 0
    assert 2**59 < max(seeds) < 2**62
    assert draw_seed(torch.Generator().manual_seed(5)) == seeds[0]
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("generator", [1, "0", torch.default_generator.get_state()])
def test_anything_else_is_not_a_generator(generator: object) -> None:
    message = (
        rf"^generator is a {type(generator).__name__}; expected a torch\.Generator, for example "
        r"torch\.Generator\(\)\.manual_seed\(0\)\.$"
    )
    with pytest.raises(InputError, match=message):
        draw_seed(generator)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_noise_has_the_shape_of_one_sample(dtype: torch.dtype) -> None:
    inputs = torch.zeros(5, 2, 3, dtype=dtype)
    noise, again = (
        noise_of_sample(inputs[:batch], torch.Generator().manual_seed(1)) for batch in (5, 1)
    )
    assert noise.shape == (2, 3)
    assert noise.dtype == dtype
    assert torch.equal(noise, again)
    assert noise_of_sample(torch.zeros(5), torch.Generator()).shape == ()
    expected = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=dtype)
    assert torch.equal(noise, expected)
