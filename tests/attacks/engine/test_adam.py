"""Adam for a batch that may shrink, against PyTorch's."""

import pytest
import torch

from minnorm.attacks.engine.adam import Adam


def test_the_steps_are_those_of_pytorch() -> None:
    generator = torch.Generator().manual_seed(0)
    parameters = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([parameters], lr=0.1)
    points = torch.zeros(4, 3, dtype=torch.float64)
    adam = Adam(points)
    for number in range(30):
        gradients = torch.randn(4, 3, generator=generator, dtype=torch.float64) * 10.0**-number
        parameters.grad = gradients.clone()
        optimizer.step()
        points = points - 0.1 * adam.step(gradients)
        torch.testing.assert_close(points, parameters.detach(), rtol=1e-9, atol=1e-12)


def test_samples_may_leave() -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(10, 4, 2, 2, generator=generator)
    whole, shrinking = Adam(gradients[0]), Adam(gradients[0])
    rows = torch.tensor([3, 1])
    for number, gradient in enumerate(gradients):
        if number == 5:
            shrinking.keep(rows)
        expected = whole.step(gradient)
        found = shrinking.step(gradient if number < 5 else gradient[rows])
        assert torch.equal(found, expected if number < 5 else expected[rows])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_state_in_float32(dtype: torch.dtype) -> None:
    # Squares of 1e-5 are 0 in float16, and so is the number that is added to them.
    gradients = torch.tensor([[1e-5, -1e-5, 0.0]], dtype=dtype)
    adam = Adam(gradients)
    for _ in range(3):
        step = adam.step(gradients)
        assert step.dtype == dtype
        assert step.tolist() == [[pytest.approx(1, abs=0.01), pytest.approx(-1, abs=0.01), 0]]


def test_the_gradients_do_not_change() -> None:
    gradients = torch.tensor([1.0, -2.0])
    adam = Adam(gradients)
    adam.step(gradients)
    adam.step(gradients)
    assert gradients.tolist() == [1, -2]
